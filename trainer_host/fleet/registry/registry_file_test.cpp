#include <sqlite3.h>
#include <unistd.h>

#include <fstream>

#include "trainer_host/fleet/registry/file_in_place.hpp"
#include "trainer_host/fleet/registry/registry_fixture_for_tests.hpp"
#include "trainer_host/fleet/registry/schema.hpp"

// The file: of which version, of whom, on which disk, and read beside its writer.

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;

TEST_F(RegistryTest, a_file_that_was_replaced_is_not_the_one_that_was_opened) {
  auto registry = open();
  const auto opened = FileInPlace::of(file_);
  ASSERT_THAT(opened, IsOk());
  EXPECT_THAT(opened->check(), IsOk());
  std::filesystem::rename(file_, file_.string() + ".aside");
  EXPECT_THAT(opened->check(), ErrorIs(ErrorCode::refused, HasSubstr("was removed under outcropd")));
  std::filesystem::copy_file(file_.string() + ".aside", file_);
  EXPECT_THAT(opened->check(), ErrorIs(ErrorCode::refused, HasSubstr("was replaced under outcropd")));
  EXPECT_THAT(FileInPlace::of(file_.string() + ".none"), ErrorIs(ErrorCode::not_found, HasSubstr("looking at")));
}

TEST_F(RegistryTest, refuses_a_newer_schema_and_leaves_the_file_as_it_is) {
  open();
  change("PRAGMA user_version = 99");
  EXPECT_THAT(open_sqlite_registry(file_),
              ErrorIs(ErrorCode::unsupported, HasSubstr("newer outcropd (schema 99")));
  change("PRAGMA user_version = " + std::to_string(schema_version));
  EXPECT_THAT(open_sqlite_registry(file_), IsOk());
}

// As the first version of the schema had it: one device, one report.
TEST_F(RegistryTest, brings_an_older_file_forward_with_all_that_is_in_it_and_not_by_reading_it) {
  {
    auto database = Database::open(file_);
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(bring_to_schema(*database, 1), IsOk());
    ASSERT_THAT(database->run("INSERT INTO device VALUES ('pi-1', 'curvefault', 'pi', ?, '', 1, "
                              "NULL, '', NULL, NULL)",
                              {device("pi-1").key.hex()}),
                IsOk());
    ASSERT_THAT(database->run("INSERT INTO report VALUES (7, 'pi-1', 'k', 1, 2, 'm', 3, ?, 'e')",
                              {messages::to_json(report(1, 2))}),
                IsOk());
    ASSERT_THAT(database->script("INSERT INTO metadata VALUES ('root/1', 'envelope')"), IsOk());
    ASSERT_THAT(database->run("INSERT INTO release VALUES (?, 1, 'curvefault', 1, 1, 'published', "
                              "'', 1, 1, 1)",
                              {trust::sha256("m").hex()}),
                IsOk());
  }
  const auto version = [&] {
    auto database = Database::open_for_reading(file_);
    EXPECT_THAT(database, IsOk());
    return *check_schema(*database);
  };
  {
    auto reading = read_sqlite_registry(file_);
    ASSERT_THAT(reading, IsOk());
    EXPECT_EQ((*reading)->metadata()->size(), 1U);
    EXPECT_THAT((*reading)->back_up(folder_.path() / "copy.sqlite"), IsOk());
    EXPECT_FALSE((*reading)->save_metadata("targets", "envelope"));
  }
  EXPECT_EQ(version(), 1);
  const auto registry = open();
  EXPECT_EQ(version(), schema_version);
  EXPECT_EQ((*registry->device("pi-1"))->attention, "");
  const auto reports = registry->reports("pi-1", std::nullopt, 10);
  ASSERT_THAT(reports, IsOk());
  ASSERT_EQ(reports->size(), 1U);
  EXPECT_EQ(reports->front().report, report(1, 2));
  EXPECT_EQ(registry->note("none"), std::nullopt);
  auto release = registry->release(trust::sha256("m"));
  ASSERT_TRUE(release && *release);
  EXPECT_EQ((*release)->quality, std::nullopt) << "nobody has looked";
  (*release)->quality = "{}";
  ASSERT_THAT(registry->save(**release), IsOk());
  (*release)->quality.reset();
  ASSERT_THAT(registry->save(**release), IsOk());
  EXPECT_EQ((*registry->release(trust::sha256("m")))->quality, "{}") << "what is known stays";
}

TEST_F(RegistryTest, reading_makes_no_file) {
  EXPECT_THAT(read_sqlite_registry(file_), ErrorIs(ErrorCode::not_found, HasSubstr("registry")));
  EXPECT_FALSE(std::filesystem::exists(file_));
}

// SQLite calls a full disk a disk I/O error when it is not the database itself that grows.
TEST_F(RegistryTest, says_that_the_disk_is_full) {
  sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  const auto truncate = vfs->xGetSystemCall(vfs, "ftruncate");
  const auto full = +[](int, off_t) {
    errno = ENOSPC;
    return -1;
  };
  const auto write = vfs->xGetSystemCall(vfs, "pwrite64") != nullptr ? "pwrite64" : "pwrite";
  const auto writing = vfs->xGetSystemCall(vfs, write);
  const auto no_room = +[](int, const void*, std::size_t, off_t) -> ssize_t {
    errno = ENOSPC;
    return -1;
  };
  vfs->xSetSystemCall(vfs, "ftruncate", reinterpret_cast<sqlite3_syscall_ptr>(full));
  vfs->xSetSystemCall(vfs, write, reinterpret_cast<sqlite3_syscall_ptr>(no_room));
  const auto opened = open_sqlite_registry(file_);
  vfs->xSetSystemCall(vfs, "ftruncate", truncate);
  vfs->xSetSystemCall(vfs, write, writing);
  EXPECT_THAT(opened, ErrorIs(ErrorCode::no_space, HasSubstr("no space is left on the disk")));
}

TEST_F(RegistryTest, refuses_a_database_of_another_program) {
  change("CREATE TABLE song (title TEXT)");
  EXPECT_THAT(open_sqlite_registry(file_),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("another program")));
}

TEST_F(RegistryTest, refuses_a_file_that_is_no_database) {
  std::ofstream(file_) << std::string(8192, 'x');
  EXPECT_THAT(open_sqlite_registry(file_),
              ErrorIs(ErrorCode::invalid_data, HasSubstr(file_.string())));
}

TEST_F(RegistryTest, a_copy_made_while_it_is_in_use_holds_everything) {
  const auto registry = open();
  fill(*registry);
  const auto copy = folder_.path() / "copy.sqlite";
  ASSERT_THAT(registry->back_up(copy), IsOk());
  ASSERT_THAT(registry->save(device("pi-2")), IsOk());
  auto restored = open_sqlite_registry(copy);
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ((*restored)->devices()->size(), 1U);
  EXPECT_TRUE((*restored)->rollout("r")->has_value());
  EXPECT_FALSE(registry->back_up(copy));  // never over another file
}

TEST_F(RegistryTest, is_read_beside_its_writer_as_of_one_moment) {
  const auto registry = open();
  ASSERT_THAT(registry->save(device("pi-1")), IsOk());
  auto reader = read_sqlite_registry(file_);
  ASSERT_THAT(reader, IsOk());
  EXPECT_EQ((*reader)->devices()->size(), 1U);
  ASSERT_THAT(registry->transaction([&]() -> Status {
    OUTCROP_CHECK(registry->save(device("pi-2")));
    EXPECT_EQ((*reader)->devices()->size(), 1U) << "what is not committed is not there, and nobody waits for it";
    return {};
  }), IsOk());
  EXPECT_EQ((*reader)->devices()->size(), 2U);
  ASSERT_THAT((*reader)->at_one_moment([&]() -> Status {
    EXPECT_EQ((*reader)->device("pi-1")->value().device_class, "raspberry-pi-4");
    Device other = device("pi-1");
    other.device_class = "raspberry-pi-5";
    OUTCROP_CHECK(registry->save(other));
    EXPECT_EQ((*reader)->device("pi-1")->value().device_class, "raspberry-pi-4");
    return {};
  }), IsOk());
  EXPECT_EQ((*reader)->device("pi-1")->value().device_class, "raspberry-pi-5");
  EXPECT_FALSE((*reader)->save(device("pi-3")));
}

}  // namespace
}  // namespace outcrop::fleet
