#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet {

class RegistryTest : public ::testing::Test {
 protected:
  std::unique_ptr<Registry> open() {
    auto registry = open_sqlite_registry(file_);
    EXPECT_THAT(registry, IsOk());
    return registry ? std::move(*registry) : nullptr;
  }
  static Timestamp at(std::int64_t seconds) { return Timestamp(std::chrono::seconds(seconds)); }

  static Device device(const std::string& name) {
    Device device;
    device.name = name;
    device.model = "curvefault";
    device.device_class = "raspberry-pi-4";
    device.key = trust::PrivateKey::from_seed(Bytes(32, std::byte{7}))->public_key();
    device.certificate = "-----BEGIN CERTIFICATE-----\n";
    device.enrolled = at(1000);
    return device;
  }
  static ReleaseRecord release(const std::string& text) {
    ReleaseRecord release;
    release.manifest = trust::sha256(text);
    release.manifest_size = ByteCount(3000);
    release.model = "curvefault";
    release.published = at(2000);
    release.total = ByteCount(1'000'000);
    return release;
  }
  static RolloutRecord rollout(const std::string& name, const std::string& text) {
    RolloutRecord rollout;
    rollout.name = name;
    rollout.model = "curvefault";
    rollout.manifest = trust::sha256(text);
    rollout.soak = std::chrono::seconds(60);
    rollout.byte_budget = ByteCount(2'000'000);
    rollout.limits.failed_share = 0.25;
    rollout.limits.slower_allowed = 0.5;
    rollout.limits.false_stops = 0.001;
    rollout.limits.first_ring = 7;
    rollout.limits.at_once = 3;
    rollout.aim = Aim::size;
    rollout.takes_back = TakeBack::unfinished;
    rollout.takes_back_because = "too slow";
    rollout.limits.a_minute = 4;
    rollout.limits.deadline = std::chrono::seconds(900);
    rollout.target = {"raspberry-pi-4", "lab", "pi", .5, "lab-boards"};
    rollout.schedule = {at(9000), *windows_from("22:00-04:00")};
    rollout.started = at(3000);
    return rollout;
  }
  static Assignment assignment(const std::string& rollout, const std::string& device,
                               std::uint64_t generation) {
    Assignment assignment;
    assignment.rollout = rollout;
    assignment.device = device;
    assignment.generation = generation;
    assignment.manifest = trust::sha256("m");
    return assignment;
  }
  static messages::Report report(std::uint64_t session, std::uint64_t sequence) {
    messages::Report report;
    report.header = {"pi-1", session, sequence, at(4000), true};
    report.deployment = {"r", 1, trust::sha256("m")};
    report.state = messages::DeploymentState::updated;
    report.device_class = "raspberry-pi-4";
    report.agent = "0.1.0";
    report.engine = "torch";
    report.engine_version = "1.13.1";
    return report;
  }
  void fill(Registry& registry) {
    ASSERT_THAT(registry.save(device("pi-1")), IsOk());
    ASSERT_THAT(registry.save(release("m")), IsOk());
    ASSERT_THAT(registry.save(rollout("r", "m")), IsOk());
  }
  // What SQLite itself says about the file.
  void change(const std::string& sql) {
    auto database = Database::open(file_);
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(database->script(sql), IsOk());
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "registry.sqlite";
};

}  // namespace outcrop::fleet
