#include "trainer_host/trainer/data/known_datasets.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <thread>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/dataset.hpp"

namespace outcrop::data {
namespace {

namespace fs = std::filesystem;

// Bytes of a file that this process has mapped and looked at: "Rss" of proc_pid_smaps(5).
std::size_t bytes_looked_at(const fs::path& path) {
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  std::size_t kilobytes = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ')) here = line.ends_with(path.string());
    if (here && line.starts_with("Rss:")) kilobytes += std::stoul(line.substr(4));
  }
  return kilobytes * 1024;
}

class KnownFolder : public ::testing::Test {
 protected:
  // One data set for all tests: files of a moment ago could change and look the same, so each that
  // is new is waited for.
  static void SetUpTestSuite() {
    shared_ = std::make_unique<TemporaryFolder>();
    fs::create_directory(set());
    write_gathers(20.0F);
    EXPECT_THAT(write_npy(set() / "model1.npy", {samples, 1, grid::depth, grid::width},
                          std::vector<float>(samples * grid::map_size, 2000.0F)),
                IsOk());
  }
  static void TearDownTestSuite() { shared_.reset(); }
  static fs::path set() { return shared_->path() / "set"; }
  static fs::path gathers() { return set() / "data1.npy"; }
  static void write_gathers(float value) {
    EXPECT_THAT(write_npy(gathers(), {samples, grid::shots, grid::times, grid::width},
                          std::vector<float>(samples * grid::gather_size, value)),
                IsOk());
  }
  static void wait_until_settled() {
    while (!stamp_of(gathers())->settled() || !stamp_of(set() / "model1.npy")->settled()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  // Opens the data set and takes its digest; tells how much of the gathers was read for it.
  std::size_t read() {
    ::testing::internal::CaptureStderr();
    const auto opened = Dataset::open(set(), known_);
    EXPECT_THAT(opened, IsOk());
    digest_ = opened ? opened->digest() : "";
    said_ = ::testing::internal::GetCapturedStderr();
    return bytes_looked_at(gathers());
  }

  static constexpr std::size_t samples = 2;
  static constexpr std::size_t most = samples * grid::gather_size * sizeof(float);
  static std::unique_ptr<TemporaryFolder> shared_;
  TemporaryFolder folder_;
  fs::path cache_ = folder_.path() / "cache";
  KnownDatasets known_{cache_};
  std::string digest_;
  std::string said_;
};

std::unique_ptr<TemporaryFolder> KnownFolder::shared_;

TEST_F(KnownFolder, is_read_where_the_memory_is_damaged_or_cannot_be_written) {
  wait_until_settled();
  EXPECT_GE(read(), most);
  const fs::path file = fs::directory_iterator(cache_)->path();
  const std::string good = *read_text_file(file);
  for (const std::string& bad : {std::string(), std::string("{}"), good.substr(0, 40),
                                 std::string(good).replace(good.find(digest_), 1, "x")}) {
    ASSERT_THAT(write_file_durably(file, bad), IsOk());
    EXPECT_GE(read(), most) << bad;
    EXPECT_EQ(*read_text_file(file), good);
  }
  known_ = KnownDatasets(gathers() / "no folder");
  EXPECT_GE(read(), most);
  known_ = KnownDatasets(std::nullopt);
  EXPECT_GE(read(), most);
}

TEST_F(KnownFolder, is_not_read_again_before_it_changes) {
  wait_until_settled();
  EXPECT_GE(read(), most);
  const std::string digest = digest_, said = said_;
  EXPECT_NE(said.find("single value"), std::string::npos);
  EXPECT_LT(read(), most / 4);  // its header, and what the kernel maps around it
  EXPECT_EQ(digest_, digest);
  EXPECT_EQ(said_, said);
  // Another content, as large, of the same time: what tells it apart cannot be set back.
  struct stat before {};
  ASSERT_EQ(::stat(gathers().c_str(), &before), 0);
  {
    std::fstream file(gathers(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end).put('B');  // 80 instead of 20
  }
  const timespec times[]{before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, gathers().c_str(), times, 0), 0);
  EXPECT_GE(read(), most);
  EXPECT_NE(digest_, digest);
  // Touched only: the same digest, but who could know.
  ASSERT_EQ(::utimensat(AT_FDCWD, gathers().c_str(), nullptr, 0), 0);
  const std::string changed = digest_;
  EXPECT_GE(read(), most);
  EXPECT_EQ(digest_, changed);
}

TEST_F(KnownFolder, is_read_while_a_change_could_go_unnoticed) {
  write_gathers(21.0F);
  EXPECT_GE(read(), most);
  EXPECT_FALSE(fs::exists(cache_));
}

TEST(KnownDatasets, keep_no_more_files_than_they_may) {
  const TemporaryFolder folder;
  const KnownDatasets known(folder.path());
  for (std::size_t i = 0; i < KnownDatasets::most_files + 1; ++i) {
    const fs::path old = folder.path() / ("old" + std::to_string(i));
    std::ofstream(old) << i;
    fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(1 + i));
  }
  known.remember("new", {{}, "digest"});
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}),
            static_cast<std::ptrdiff_t>(KnownDatasets::most_files));
  ASSERT_TRUE(known.find("new"));
  EXPECT_EQ(known.find("new")->digest, "digest");
}

}  // namespace
}  // namespace outcrop::data
