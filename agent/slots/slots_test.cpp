#include "agent/slots/slots.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Optional;

messages::BlobReference blob_of(std::string_view text) {
  return {trust::sha256(text), ByteCount(text.size()),
          trust::sha256("table of " + std::string(text))};
}

// A release of one variant; its blobs are "in", "out" and `model`.
std::string manifest_of(const std::string& model) {
  messages::Manifest manifest;
  manifest.minimum_agent = "0.1.0";
  manifest.model = "curvefault";
  manifest.stage = 1;
  manifest.epoch = 1;
  manifest.data_digest = trust::sha256("data");
  manifest.code_version = "0.1.0";
  manifest.about = {{"latent", "gaussian"}};
  const messages::TensorType latent{"float32", {"batch", 8}, "", {}};
  const messages::TensorType map{"float32", {"batch", 1, 4, 4}, "m/s", {}};
  manifest.signature = {"decode", {{"decode", {{"latent", latent}}, {{"velocity", map, {}}}}}};
  manifest.golden = {blob_of("in"),
                     blob_of("out"),
                     {{"decode", {messages::TensorReference("latent")}, {{"velocity"}}}}};
  manifest.variants.push_back({"float",
                               blob_of(model),
                               "torch",
                               "qnnpack",
                               {"aten::add.Tensor"},
                               {{"decode", "decode(Tensor latent) -> (Tensor)"}},
                               ByteCount::mib(1),
                               {{"velocity", 30, 450}}});
  return messages::to_json(manifest);
}

class SlotsTest : public ::testing::Test {
 protected:
  Slots open() {
    auto slots = Slots::open(folder(), ByteCount(0));
    EXPECT_THAT(slots, IsOk());
    return std::move(*slots);
  }
  fs::path folder() const { return temporary_.path() / "releases"; }
  fs::path blob_file(std::string_view text) const {
    return folder() / "blobs" / trust::sha256(text).hex();
  }

  static StagedBlob stage(const Slots& slots, std::string_view text) {
    const auto digest = trust::sha256(text);
    EXPECT_THAT(write_file_durably(slots.partial_file(digest), text), IsOk());
    return {slots.partial_file(digest), digest, ByteCount(text.size())};
  }
  static void keep(Slots& slots, std::string_view text) {
    EXPECT_THAT(slots.keep(stage(slots, text)), IsOk());
  }
  // The release whose model is `model`, with all its blobs.
  static Installed install(Slots& slots, const std::string& model) {
    const std::string manifest = manifest_of(model);
    for (const std::string& text :
         {manifest, model, std::string("in"), std::string("out"), "table of " + model}) {
      keep(slots, text);
    }
    return {trust::sha256(manifest), ByteCount(manifest.size()), "float"};
  }

  TemporaryFolder temporary_;
};

TEST_F(SlotsTest, serve_nothing_at_first) {
  const Slots slots = open();
  EXPECT_FALSE(slots.active());
  EXPECT_FALSE(slots.previous());
}

TEST_F(SlotsTest, remember_what_serves_and_what_served_before) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  const Installed second = install(slots, "two");
  ASSERT_THAT(slots.activate(first), IsOk());
  ASSERT_THAT(slots.activate(second), IsOk());
  ASSERT_THAT(slots.activate(second), IsOk()) << "done before: changes nothing";
  const Slots again = open();
  EXPECT_EQ(again.active(), second);
  EXPECT_EQ(again.previous(), first);
}

TEST_F(SlotsTest, roll_back_to_the_previous_release_and_then_to_nothing) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  ASSERT_THAT(slots.activate(first), IsOk());
  ASSERT_THAT(slots.activate(install(slots, "two")), IsOk());
  ASSERT_THAT(slots.roll_back(), IsOk());
  EXPECT_EQ(open().active(), first);
  EXPECT_FALSE(open().previous());
  ASSERT_THAT(slots.roll_back(), IsOk());
  EXPECT_FALSE(open().active());
}

TEST_F(SlotsTest, return_to_a_release_that_still_lies_here) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  const Installed second = install(slots, "two");
  const Installed third = install(slots, "three");
  ASSERT_THAT(slots.activate(second), IsOk());
  ASSERT_THAT(slots.activate(third), IsOk());
  ASSERT_THAT(slots.return_to(first), IsOk());
  EXPECT_EQ(open().active(), first);
  EXPECT_EQ(open().previous(), second);
  ASSERT_THAT(slots.return_to(second), IsOk());
  EXPECT_EQ(open().active(), second);
  EXPECT_FALSE(open().previous()) << "what was taken back is not returned to";
  ASSERT_THAT(slots.return_to(std::nullopt), IsOk());
  EXPECT_FALSE(open().active());
}

// What left is a way back without another trial: only of what was committed.
TEST_F(SlotsTest, keep_what_was_committed_when_it_leaves_and_nothing_that_failed_its_trial) {
  Slots slots = open();
  const Installed good = install(slots, "good");
  const Installed bad = install(slots, "bad");
  ASSERT_THAT(slots.activate(good), IsOk());
  ASSERT_THAT(slots.activate(bad), IsOk());
  ASSERT_THAT(slots.return_to(good, Slots::Leaving::on_trial), IsOk());
  EXPECT_EQ(open().installed(), std::vector{good});
  ASSERT_THAT(slots.activate(bad), IsOk());
  ASSERT_THAT(slots.return_to(good), IsOk());
  EXPECT_EQ(open().installed(), (std::vector{good, bad}));
}

TEST_F(SlotsTest, never_serve_what_is_not_here) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  ASSERT_THAT(slots.activate(first), IsOk());
  const Installed absent{trust::sha256("absent"), ByteCount(6), "float"};
  EXPECT_THAT(slots.activate(absent),
              ErrorIs(ErrorCode::not_found, HasSubstr("not on this board")));
  EXPECT_THAT(slots.return_to(absent), ErrorIs(ErrorCode::not_found, HasSubstr("")));
  EXPECT_EQ(open().active(), first);
}

TEST_F(SlotsTest, keep_only_what_has_its_digest) {
  Slots slots = open();
  const StagedBlob good = stage(slots, "model");
  ASSERT_THAT(slots.keep(good), IsOk());
  EXPECT_FALSE(fs::exists(good.file()));
  EXPECT_TRUE(slots.has(good.digest()));
  const auto blob = slots.blob(good.digest(), good.size());
  ASSERT_THAT(blob, IsOk());
  EXPECT_EQ(as_text(blob->bytes()), "model");

  const StagedBlob bad = stage(slots, "other");
  ASSERT_THAT(write_file_durably(bad.file(), "OTHER"), IsOk());
  EXPECT_THAT(slots.keep(bad), ErrorIs(ErrorCode::untrusted, HasSubstr("")));
  EXPECT_FALSE(fs::exists(bad.file()));
  EXPECT_FALSE(slots.has(bad.digest()));
}

TEST_F(SlotsTest, remove_a_blob_that_was_damaged_on_the_disk) {
  Slots slots = open();
  keep(slots, "model");
  const auto digest = trust::sha256("model");
  EXPECT_THAT(slots.blob(digest, ByteCount(4)), ErrorIs(ErrorCode::untrusted, HasSubstr("")));
  EXPECT_TRUE(slots.has(digest)) << "a wrong size in the question is no damage";
  ASSERT_THAT(write_file_durably(blob_file("model"), "mXdel"), IsOk());
  EXPECT_THAT(slots.blob(digest, ByteCount(5)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("damaged blob, now removed")));
  EXPECT_FALSE(slots.has(digest));
  EXPECT_THAT(slots.blob(digest, ByteCount(5)), ErrorIs(ErrorCode::not_found, HasSubstr("")));
}

TEST_F(SlotsTest, tidy_up_all_but_active_previous_and_the_deployment_at_work) {
  Slots slots = open();
  const Installed zeroth = install(slots, "zero");
  const Installed first = install(slots, "one");
  const Installed second = install(slots, "two");
  const Installed third = install(slots, "three");
  ASSERT_THAT(slots.activate(first), IsOk());
  ASSERT_THAT(slots.activate(second), IsOk());
  (void)stage(slots, "wanted");
  (void)stage(slots, "unwanted");
  ASSERT_THAT(slots.collect_garbage({third.manifest, trust::sha256("wanted")}), IsOk());
  for (const char* text : {"one", "two", "three", "in", "out", "table of one"}) {
    EXPECT_TRUE(fs::exists(blob_file(text))) << text;
  }
  for (const Installed& release : {first, second, third}) EXPECT_TRUE(slots.has(release.manifest));
  EXPECT_FALSE(slots.has(zeroth.manifest));
  EXPECT_FALSE(fs::exists(blob_file("zero")));
  EXPECT_TRUE(fs::exists(slots.partial_file(trust::sha256("wanted"))));
  EXPECT_FALSE(fs::exists(slots.partial_file(trust::sha256("unwanted"))));
}

TEST_F(SlotsTest, remove_nothing_while_a_release_cannot_be_read) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  keep(slots, "garbage");
  ASSERT_THAT(slots.activate(first), IsOk());
  ASSERT_THAT(write_file_durably(folder() / "blobs" / first.manifest.hex(), "damaged"), IsOk());
  EXPECT_THAT(slots.collect_garbage({}),
              ErrorIs(ErrorCode::untrusted, HasSubstr("nothing was removed")));
  EXPECT_TRUE(fs::exists(blob_file("one")));
  EXPECT_TRUE(fs::exists(blob_file("garbage")));
}

TEST_F(SlotsTest, say_how_much_space_is_missing) {
  const auto slots = Slots::open(folder(), ByteCount::mib(64));
  ASSERT_THAT(slots, IsOk());
  EXPECT_THAT(slots->reserve(ByteCount(1)), IsOk());
  EXPECT_THAT(slots->reserve(ByteCount(~std::uint64_t{0})),
              ErrorIs(ErrorCode::no_space, HasSubstr("67.11 MB of them must stay so")));
}

TEST_F(SlotsTest, survive_a_damaged_file_by_its_spare) {
  Installed first;
  {
    Slots slots = open();
    first = install(slots, "one");
    ASSERT_THAT(slots.activate(first), IsOk());
  }
  const fs::path file = folder() / "slots.json";
  const std::string good = *read_text_file(file);
  const std::vector<std::string> damage{good.substr(0, good.size() / 2), "",
                                        std::string(good.size(), '\0'),
                                        "{\"format\": 1, \"active\": null}"};
  for (const std::string& text : damage) {
    ASSERT_THAT(write_file_durably(file, text), IsOk());
    const Slots slots = open();
    EXPECT_EQ(slots.active(), first);
    EXPECT_FALSE(slots.forgotten());
    EXPECT_THAT(slots.trouble(), Optional(HasSubstr("slots.json is damaged")));
    EXPECT_EQ(*read_text_file(folder() / "slots.json.damaged"), text);
    EXPECT_EQ(open().trouble(), std::nullopt) << "it was mended";
  }
}

TEST_F(SlotsTest, remember_what_somebody_else_knows_where_both_files_are_damaged) {
  Installed first;
  {
    Slots slots = open();
    first = install(slots, "one");
    ASSERT_THAT(slots.activate(first), IsOk());
  }
  for (const char* name : {"slots.json", "slots.json.spare"}) {
    ASSERT_THAT(write_file_durably(folder() / name, std::string(80, '\0')), IsOk());
  }
  {
    Slots slots = open();
    EXPECT_TRUE(slots.forgotten());
    EXPECT_FALSE(slots.active());
    ASSERT_THAT(slots.collect_garbage({}), IsOk());
    EXPECT_TRUE(fs::exists(blob_file("one"))) << "it may be what served";
    const Installed absent{trust::sha256("absent"), ByteCount(6), "float"};
    EXPECT_THAT(slots.remember(absent), ErrorIs(ErrorCode::not_found, HasSubstr("not on this board")));
    EXPECT_TRUE(slots.forgotten());
    ASSERT_THAT(slots.remember(first), IsOk());
    EXPECT_FALSE(slots.forgotten());
    EXPECT_THAT(slots.trouble(), Optional(HasSubstr("known from the last deployment")));
  }
  EXPECT_EQ(open().active(), first);
}

TEST_F(SlotsTest, do_not_say_that_a_damaged_release_serves) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  ASSERT_THAT(slots.activate(first), IsOk());
  slots.found(first, true);
  EXPECT_EQ(slots.active(), first);
  EXPECT_EQ(slots.serving(), std::nullopt);
  slots.found(first, false);
  EXPECT_EQ(slots.serving(), first);
}

TEST_F(SlotsTest, leave_a_file_of_a_newer_agent_as_it_is) {
  (void)open();
  const std::string newer = "{\"format\": 2, \"tracks\": []}";
  ASSERT_THAT(write_file_durably(folder() / "slots.json", newer), IsOk());
  EXPECT_THAT(Slots::open(folder(), ByteCount(0)),
              ErrorIs(ErrorCode::unsupported, HasSubstr("newer agent")));
  EXPECT_EQ(*read_text_file(folder() / "slots.json"), newer);
}

TEST_F(SlotsTest, a_full_disk_changes_nothing) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  const Installed second = install(slots, "two");
  ASSERT_THAT(slots.activate(first), IsOk());
  // A file-size limit stands in for a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 16;
  ::setrlimit(RLIMIT_FSIZE, &small);
  const Status status = slots.activate(second);
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_FALSE(status);
  EXPECT_EQ(slots.active(), first);
  EXPECT_EQ(open().active(), first);
  EXPECT_THAT(slots.activate(second), IsOk());
}

TEST_F(SlotsTest, a_kill_at_any_time_leaves_one_of_the_two_states) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  const Installed second = install(slots, "two");
  ASSERT_THAT(slots.activate(first), IsOk());
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      while (true) {
        if (!slots.activate(second) || !slots.roll_back()) ::_exit(1);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + round % 7));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    const Slots after = open();
    ASSERT_TRUE(after.active());
    if (*after.active() == second) {
      EXPECT_EQ(after.previous(), first);
    } else {
      EXPECT_EQ(after.active(), first);
    }
  }
}

}  // namespace
}  // namespace outcrop::agent
