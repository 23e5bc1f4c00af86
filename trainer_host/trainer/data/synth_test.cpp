#include "trainer_host/trainer/data/synth.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "tests/support/plain_file_system.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/data/labels.hpp"
#include "trainer_host/trainer/data/npy.hpp"
#include "trainer_host/trainer/data/staged_dataset.hpp"

namespace outcrop::data {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Synth : public ::testing::Test {
 protected:
  [[nodiscard]] SynthOptions options(const std::string& out, std::uint64_t count) const {
    SynthOptions options;
    options.count = count;
    options.seed = 1;
    options.out = folder_.path() / out;
    return options;
  }
  static Result<SynthReport> run(const SynthOptions& options) { return synthesize(options, {}); }

  // Every file with its content, by its path inside `folder`.
  static std::map<std::string, std::string> contents(const fs::path& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      files[fs::relative(entry.path(), folder).string()] = *read_text_file(entry.path());
    }
    return files;
  }
  [[nodiscard]] bool is_empty() const { return fs::is_empty(folder_.path()); }

  TemporaryFolder folder_;
};

TEST_F(Synth, same_seed_gives_the_same_bytes_at_any_thread_count) {
  SynthOptions one = options("one", 3);
  one.samples_per_file = 2;
  ASSERT_THAT(run(one), IsOk());
  const auto expected = contents(one.out);
  EXPECT_EQ(expected.size(), 5U);
  for (const unsigned threads : {2U, 3U}) {
    SynthOptions other = one;
    other.threads = threads;
    other.out = folder_.path() / std::to_string(threads);
    ASSERT_THAT(run(other), IsOk());
    EXPECT_TRUE(contents(other.out) == expected) << threads << " threads";
  }
  SynthOptions reseeded = one;
  reseeded.seed = 2;
  reseeded.out = folder_.path() / "reseeded";
  EXPECT_NE(run(reseeded)->digest, Dataset::open(one.out)->digest());
}

TEST_F(Synth, makes_a_data_set_with_a_manifest_that_tells_how) {
  const auto report = run(options("set", 2));
  ASSERT_THAT(report, IsOk());
  const auto set = Dataset::open(report->folder);
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->size(), 2U);
  const auto manifest = nlohmann::json::parse(*read_text_file(report->folder / "dataset.json"));
  EXPECT_EQ(manifest.at("digest"), set->digest());
  EXPECT_EQ(manifest.at("digest"), report->digest);
  EXPECT_EQ(manifest.at("seed"), 1);
  EXPECT_EQ(manifest.at("samples"), 2);
  EXPECT_EQ(manifest.at("source").at("family"), "curvefault-a");
  EXPECT_EQ(manifest.at("solver").at("absorbing_cells"), 120);
  EXPECT_FALSE(manifest.at("code_version").get<std::string>().empty());
}

TEST_F(Synth, names_files_as_openfwi_does) {
  ASSERT_THAT(run(options("fault", 1)), IsOk());
  SynthOptions flat = options("flat", 1);
  flat.family = Family::flatvel_a;
  ASSERT_THAT(run(flat), IsOk());
  for (const char* name : {"fault/vel4_1_0.npy", "fault/seis4_1_0.npy", "flat/model/model1.npy",
                           "flat/data/data1.npy"}) {
    EXPECT_TRUE(fs::exists(folder_.path() / name)) << name;
  }
}

TEST_F(Synth, labels_each_file_of_maps_where_asked) {
  SynthOptions fault = options("fault", 3);
  fault.samples_per_file = 2;
  fault.labels = true;
  SynthOptions flat = options("flat", 1);
  flat.family = Family::flatvel_a;
  flat.labels = true;
  ASSERT_THAT(run(fault), IsOk());
  ASSERT_THAT(run(flat), IsOk());
  EXPECT_TRUE(fs::exists(flat.out / "label" / "label1.npy"));
  const auto labels = Labels::open(fault.out, cell::classes);
  ASSERT_THAT(labels, IsOk());
  ASSERT_EQ(labels->size(), 3U);
  std::vector<std::int64_t> third(grid::map_size);
  make_labels(fault.family, fault.seed, 2, third);
  EXPECT_TRUE(std::ranges::equal(labels->of(2), third));
  const auto manifest = nlohmann::json::parse(*read_text_file(fault.out / "dataset.json"));
  EXPECT_EQ(manifest.at("classes").at(4), "fault zone");
  // They are no part of what a generator is trained on.
  fault.labels = false;
  fault.out = folder_.path() / "plain";
  EXPECT_EQ(run(fault)->digest, manifest.at("digest"));
}

TEST_F(Synth, cuts_maps_from_a_model_and_reports_the_clamped_share) {
  const fs::path model = folder_.path() / "model.npy";
  std::vector<float> values(80 * 80, 3000.0F);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 80 >= 40) values[i] = 5000.0F;  // the right half is too fast
  }
  ASSERT_THAT(write_npy(model, {80, 80}, values), IsOk());
  SynthOptions crops = options("crops", 2);
  crops.from = model;
  crops.crop.spacing = 10.0;
  const auto report = run(crops);
  ASSERT_THAT(report, IsOk());
  ASSERT_TRUE(report->clamped_share.has_value());
  EXPECT_NEAR(*report->clamped_share, 0.5, 0.08);
  const auto manifest = nlohmann::json::parse(*read_text_file(crops.out / "dataset.json"));
  EXPECT_EQ(manifest.at("source").at("clamped_share"), *report->clamped_share);
  EXPECT_EQ(manifest.at("source").at("model"), "model.npy");
}

TEST_F(Synth, refuses_a_folder_with_something_in_it_and_takes_an_empty_one) {
  const SynthOptions set = options("set", 1);
  fs::create_directory(set.out);
  ASSERT_THAT(write_file_durably(set.out / "thesis.txt", "precious"), IsOk());
  EXPECT_THAT(run(set), ErrorIs(ErrorCode::already_exists, HasSubstr("not an empty folder")));
  EXPECT_EQ(*read_text_file(set.out / "thesis.txt"), "precious");
  fs::remove(set.out / "thesis.txt");
  EXPECT_THAT(run(set), IsOk());
}

TEST_F(Synth, works_on_a_file_system_without_locks_and_flags_of_rename) {
  const PlainFileSystem plain;
  const SynthOptions set = options("set", 1);
  const auto held = StagedDataset::create(set.out, 1, 1, Naming::vel_seis);
  ASSERT_THAT(held, IsOk());
  EXPECT_THAT(run(set), ErrorIs(ErrorCode::refused, HasSubstr("another process")));
  EXPECT_THAT(run(options("other", 1)), IsOk());
}

TEST_F(Synth, fills_the_working_folder_and_any_other_that_no_rename_replaces) {
  const fs::path before = fs::current_path();
  SynthOptions here = options("here", 1);
  fs::create_directory(here.out);
  fs::current_path(here.out);
  here.out = ".";
  const auto made = run(here);
  const auto again = run(here);
  const bool complete = fs::exists("dataset.json") && !fs::exists(".incomplete");
  fs::current_path(before);
  ASSERT_THAT(made, IsOk());
  EXPECT_TRUE(complete);
  EXPECT_THAT(again, ErrorIs(ErrorCode::already_exists, HasSubstr("not an empty folder")));
  EXPECT_EQ(Dataset::open(folder_.path() / "here")->size(), 1U);
}

TEST_F(Synth, refuses_counts_and_threads_that_make_no_sense) {
  EXPECT_THAT(run(options("set", 0)), ErrorIs(ErrorCode::invalid_argument, HasSubstr("count")));
  SynthOptions none = options("set", 1);
  none.threads = 0;
  EXPECT_THAT(run(none), ErrorIs(ErrorCode::invalid_argument, HasSubstr("threads")));
  EXPECT_TRUE(is_empty());
}

TEST_F(Synth, leaves_nothing_when_asked_to_stop) {
  SynthOptions many = options("set", 1000);
  many.threads = 2;
  SynthHooks hooks;
  std::uint64_t seen = 0;
  hooks.progress = [&](std::uint64_t done) { seen = done; };
  hooks.stop_requested = [&] { return seen >= 3; };
  EXPECT_THAT(synthesize(many, hooks), ErrorIs(ErrorCode::interrupted, HasSubstr("stopped")));
  EXPECT_TRUE(is_empty());
}

TEST_F(Synth, killed_leaves_nothing_that_opens_and_the_next_run_starts_afresh) {
  SynthOptions set = options("set", 1000);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    (void)run(set);
    ::_exit(0);
  }
  const fs::path left = set.out.string() + ".incomplete";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!fs::exists(left / "seis4_1_1.npy.part") && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  // While it runs, nobody else may write there.
  EXPECT_THAT(run(set), ErrorIs(ErrorCode::refused, HasSubstr("another process")));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(fs::exists(set.out));
  EXPECT_THAT(Dataset::open(left), ErrorIs(ErrorCode::not_found, HasSubstr("no OpenFWI files")));
  set.count = 1;
  ASSERT_THAT(run(set), IsOk());
  EXPECT_FALSE(fs::exists(left));
  EXPECT_EQ(Dataset::open(set.out)->size(), 1U);
}

TEST_F(Synth, refuses_what_cannot_fit_the_disk_before_writing_anything) {
  // 14 TB: more than any disk that tests run on.
  EXPECT_THAT(run(options("set", 10'000'000)), ErrorIs(ErrorCode::no_space, HasSubstr("14.20 TB")));
  EXPECT_TRUE(is_empty());
}

TEST_F(Synth, a_model_that_is_missing_leaves_nothing) {
  SynthOptions crops = options("set", 1);
  crops.from = folder_.path() / "absent.npy";
  crops.crop.spacing = 20.0;
  EXPECT_THAT(run(crops), ErrorIs(ErrorCode::not_found, HasSubstr("absent.npy")));
  EXPECT_TRUE(is_empty());
}

}  // namespace
}  // namespace outcrop::data
