#include "trainer_host/fleet/backup.hpp"

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/plain_file_system.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"
#include "trainer_host/fleet/state_folder.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;

class BackupTest : public ::testing::Test {
 protected:
  BackupTest() {
    fs::create_directories(state_.folder);
    auto registry = open_sqlite_registry(state_.registry());
    EXPECT_THAT(registry, IsOk());
    EXPECT_THAT((*registry)->save_note("fleet", "north"), IsOk());
    auto blobs = BlobStore::open(state_.blobs());
    EXPECT_THAT(blobs, IsOk());
    EXPECT_THAT(blobs->upload(blob_, ByteCount(5), ByteCount(0), as_bytes("shots")), IsOk());
    fs::create_directories(state_.history());
    auto day = Database::open(state_.history() / "raw-20000.sqlite");
    EXPECT_THAT(day, IsOk());
    EXPECT_THAT(day->script("CREATE TABLE sample (device TEXT); INSERT INTO sample VALUES ('pi-1')"), IsOk());
  }
  void expect_whole(const fs::path& copy) const {
    const StateFolder of{copy};
    const auto registry = open_sqlite_registry(of.registry());
    ASSERT_THAT(registry, IsOk());
    EXPECT_EQ((*registry)->note("fleet"), "north");
    EXPECT_TRUE(BlobStore::open(of.blobs())->is_whole(blob_));
    std::string device;
    auto day = Database::open_for_reading(of.history() / "raw-20000.sqlite");
    ASSERT_THAT(day, IsOk());
    EXPECT_THAT(day->query("SELECT device FROM sample", {}, [&](const Database::Row& row) {
      device = row.text(0);
      return Status();
    }),
                IsOk());
    EXPECT_EQ(device, "pi-1");
  }
  // Folders besides the state and `copies`: nothing unfinished stays.
  [[nodiscard]] std::size_t folders() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_.path()), {}));
  }

  TemporaryFolder folder_;
  StateFolder state_{folder_.path() / "state"};
  trust::Sha256Digest blob_ = trust::sha256("shots");
};

TEST_F(BackupTest, is_a_folder_of_its_own_and_replaces_none) {
  const fs::path copy = folder_.path() / "copy";
  const auto made = back_up_state(state_.folder, copy);
  ASSERT_THAT(made, IsOk());
  EXPECT_TRUE(made->empty());
  expect_whole(copy);
  EXPECT_THAT(back_up_state(state_.folder, copy),
              ErrorIs(ErrorCode::already_exists, ::testing::HasSubstr("name a new folder")));
  EXPECT_EQ(folders(), 2U);
}

TEST_F(BackupTest, is_made_by_a_plain_rename_where_the_file_system_has_no_other) {
  const PlainFileSystem plain;
  const fs::path copy = folder_.path() / "copy";
  ASSERT_THAT(back_up_state(state_.folder, copy), IsOk());
  expect_whole(copy);
  EXPECT_EQ(folders(), 2U);
  // One that came into being meanwhile is not replaced either.
  const fs::path other = folder_.path() / "other";
  fs::create_directory(other);
  ASSERT_THAT(write_file_durably(other / "kept", std::string_view("mine")), IsOk());
  EXPECT_THAT(publish_folder(copy, other), ::testing::Not(IsOk()));
  EXPECT_TRUE(fs::exists(other / "kept"));
  expect_whole(copy);
}

}  // namespace
}  // namespace outcrop::fleet
