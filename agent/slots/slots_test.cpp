#include "agent/slots/slots.hpp"

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

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
  Slots open() const { return Slots::open(folder(), ByteCount(0)); }
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
  EXPECT_EQ(slots.active(), second);
  EXPECT_EQ(slots.previous(), first);
}

TEST_F(SlotsTest, roll_back_to_the_previous_release_and_then_to_nothing) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  ASSERT_THAT(slots.activate(first), IsOk());
  ASSERT_THAT(slots.activate(install(slots, "two")), IsOk());
  ASSERT_THAT(slots.roll_back(), IsOk());
  EXPECT_EQ(slots.active(), first);
  EXPECT_FALSE(slots.previous());
  ASSERT_THAT(slots.roll_back(), IsOk());
  EXPECT_FALSE(slots.active());
}

TEST_F(SlotsTest, return_to_a_release_that_still_lies_here) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  const Installed second = install(slots, "two");
  const Installed third = install(slots, "three");
  ASSERT_THAT(slots.activate(second), IsOk());
  ASSERT_THAT(slots.activate(third), IsOk());
  ASSERT_THAT(slots.return_to(first), IsOk());
  EXPECT_EQ(slots.active(), first);
  EXPECT_EQ(slots.previous(), second);
  ASSERT_THAT(slots.return_to(second), IsOk());
  EXPECT_EQ(slots.active(), second);
  EXPECT_FALSE(slots.previous()) << "what was taken back is not returned to";
  ASSERT_THAT(slots.return_to(std::nullopt), IsOk());
  EXPECT_FALSE(slots.active());
}

TEST_F(SlotsTest, know_more_than_one_way_back_and_let_the_oldest_go) {
  Slots slots = Slots::open(folder(), ByteCount(0), {}, {3});
  std::vector<Installed> all;
  for (const char* name : {"one", "two", "three", "four", "five"}) {
    all.push_back(install(slots, name));
    ASSERT_THAT(slots.activate(all.back()), IsOk());
  }
  EXPECT_EQ(slots.installed(), (std::vector{all[4], all[3], all[2], all[1]}));
  ASSERT_THAT(slots.collect_garbage({}), IsOk());
  EXPECT_FALSE(slots.has(all[0].manifest));
  ASSERT_THAT(slots.roll_back(Slots::Leaving::on_trial), IsOk());
  EXPECT_EQ(slots.active(), all[3]);
  EXPECT_EQ(slots.previous(), all[2]);
  ASSERT_THAT(slots.return_to(all[2]), IsOk());
  EXPECT_EQ(slots.previous(), all[1]) << "not the one that was taken back";
  ASSERT_THAT(slots.roll_back(), IsOk());
  EXPECT_EQ(slots.active(), all[1]);
  EXPECT_FALSE(slots.previous());
}

TEST_F(SlotsTest, make_room_by_the_oldest_and_never_by_what_serves) {
  Slots slots = Slots::open(folder(), ByteCount(0), {}, {4});
  std::vector<Installed> all;
  for (const char* name : {"one", "two", "three", "four"}) {
    all.push_back(install(slots, name));
    ASSERT_THAT(slots.activate(all.back()), IsOk());
  }
  ASSERT_THAT(slots.make_room({}, ByteCount(1)), IsOk());
  EXPECT_EQ(slots.installed(), (std::vector{all[3], all[2], all[1]})) << "there is room enough then";
  EXPECT_FALSE(fs::exists(blob_file("one")));
  ASSERT_THAT(slots.make_room({}, ByteCount(~std::uint64_t{0})), IsOk());
  EXPECT_EQ(slots.installed(), (std::vector{all[3], all[2]}));
  EXPECT_TRUE(fs::exists(blob_file("three")));
}

// What left is a way back without another trial: only of what was committed.
TEST_F(SlotsTest, keep_what_was_committed_when_it_leaves_and_nothing_that_failed_its_trial) {
  Slots slots = open();
  const Installed good = install(slots, "good");
  const Installed bad = install(slots, "bad");
  ASSERT_THAT(slots.activate(good), IsOk());
  ASSERT_THAT(slots.activate(bad), IsOk());
  ASSERT_THAT(slots.return_to(good, Slots::Leaving::on_trial), IsOk());
  EXPECT_EQ(slots.installed(), std::vector{good});
  ASSERT_THAT(slots.activate(bad), IsOk());
  ASSERT_THAT(slots.return_to(good), IsOk());
  EXPECT_EQ(slots.installed(), (std::vector{good, bad}));
}

TEST_F(SlotsTest, never_serve_what_is_not_here) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  ASSERT_THAT(slots.activate(first), IsOk());
  const Installed absent{trust::sha256("absent"), ByteCount(6), "float"};
  EXPECT_THAT(slots.activate(absent),
              ErrorIs(ErrorCode::not_found, HasSubstr("not on this board")));
  EXPECT_THAT(slots.return_to(absent), ErrorIs(ErrorCode::not_found, HasSubstr("")));
  EXPECT_EQ(slots.active(), first);
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

TEST_F(SlotsTest, keep_as_many_ways_back_as_their_bytes_allow_and_always_the_last) {
  const std::string big(100'000, 'b');
  const auto alive_of_four = [&](ByteCount bytes) {
    const TemporaryFolder here;
    Slots slots = Slots::open(here.path() / "releases", ByteCount(0), {}, {16, bytes});
    std::vector<Installed> releases;
    for (const char* name : {"1", "2", "3", "4"}) {
      releases.push_back(install(slots, name + big));
      EXPECT_THAT(slots.activate(releases.back()), IsOk());
      EXPECT_THAT(slots.collect_garbage({}), IsOk());
    }
    EXPECT_EQ(slots.active(), releases.back());
    EXPECT_EQ(slots.previous(), releases[2]);
    std::string alive;
    for (const Installed& release : releases) alive += slots.has(release.manifest) ? '+' : '-';
    // No more is listed than lies here: what is written down says so.
    EXPECT_EQ(slots.table().kept.size() + 2, static_cast<std::size_t>(std::count(alive.begin(), alive.end(), '+')));
    return alive;
  };
  // Of each, its model (100 kB), a table of as much and a manifest; "in" and "out" are the active one's, too.
  EXPECT_EQ(alive_of_four(ByteCount(0)), "++++") << "0: no limit";
  EXPECT_EQ(alive_of_four(ByteCount(610'000)), "++++");
  EXPECT_EQ(alive_of_four(ByteCount(590'000)), "-+++") << "the oldest goes first";
  EXPECT_EQ(alive_of_four(ByteCount(210'000)), "--++");
  EXPECT_EQ(alive_of_four(ByteCount(1)), "--++") << "the one before the active one stays";
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
  const Slots slots = Slots::open(folder(), ByteCount::mib(64));
  EXPECT_THAT(slots.reserve(ByteCount(1)), IsOk());
  EXPECT_THAT(slots.reserve(ByteCount(~std::uint64_t{0})),
              ErrorIs(ErrorCode::no_space, HasSubstr("67.11 MB of them must stay so")));
}

TEST_F(SlotsTest, remove_nothing_while_nobody_knows_what_served) {
  SlotTable table;
  table.forgotten = true;
  Slots slots = Slots::open(folder(), ByteCount(0), table);
  const Installed first = install(slots, "one");
  ASSERT_THAT(slots.collect_garbage({}), IsOk());
  EXPECT_TRUE(fs::exists(blob_file("one"))) << "it may be what served";
  ASSERT_THAT(slots.activate(first), IsOk());
  EXPECT_FALSE(slots.table().forgotten);
}

TEST_F(SlotsTest, take_what_cannot_be_read_just_now_for_no_damage) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  const Installed second = install(slots, "two");
  const Installed third = install(slots, "three");
  for (const Installed& release : {first, second, third}) {
    ASSERT_THAT(slots.activate(release), IsOk());
  }
  ASSERT_EQ(slots.table().kept.size(), 1U);
  // A link to itself cannot be opened, and is there.
  const fs::path manifest = folder() / "blobs" / first.manifest.hex();
  fs::remove(manifest);
  fs::create_symlink(manifest, manifest);
  const auto unread = slots.manifest(first.manifest, first.manifest_size);
  ASSERT_FALSE(unread);
  EXPECT_EQ(Slots::judge(fail(unread.error())), Slots::Lies::unread);
  EXPECT_THAT(slots.collect_garbage({}), ErrorIs(ErrorCode::io, HasSubstr("")));
  EXPECT_TRUE(fs::is_symlink(manifest));
  EXPECT_TRUE(fs::exists(blob_file("one")));
}

TEST_F(SlotsTest, do_not_say_that_a_damaged_release_serves) {
  Slots slots = open();
  const Installed first = install(slots, "one");
  ASSERT_THAT(slots.activate(first), IsOk());
  slots.found(first, Slots::Lies::damaged);
  EXPECT_EQ(slots.active(), first);
  EXPECT_EQ(slots.serving(), std::nullopt);
  slots.found(first, Slots::Lies::whole);
  EXPECT_EQ(slots.serving(), first);
}

}  // namespace
}  // namespace outcrop::agent
