#include "trainer_host/fleet/prune/prune.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;

class PruneTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto registry = open_sqlite_registry(folder_.path() / "registry.sqlite");
    auto blobs = BlobStore::open(folder_.path() / "blobs");
    ASSERT_THAT(registry, IsOk());
    ASSERT_THAT(blobs, IsOk());
    registry_ = std::move(*registry);
    blobs_.emplace(std::move(*blobs));
  }
  static Timestamp at(int day) { return Timestamp(std::chrono::days(day)); }

  // A release of the golden manifest, one variant's blob of which is its own and one `shared`.
  trust::Sha256Digest release(const std::string& name, ReleaseState state) {
    std::ifstream file(fs::path(OUTCROP_SOURCE) / "protocol/messages/golden/v1/manifest.json");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    std::size_t index = 0;
    for (std::size_t found = 0; (found = text.find("\"sha256\": \"", found)) != std::string::npos; ++index) {
      found += 11;
      const std::string content = index == 0 ? "shared" : name + std::to_string(index);
      text.replace(found, 64, put(content).hex());
    }
    EXPECT_GE(index, 3U);
    ReleaseRecord record;
    record.manifest = put(text);
    record.model = "curvefault";
    record.state = state;
    EXPECT_THAT(registry_->save(record), IsOk());
    return record.manifest;
  }
  trust::Sha256Digest put(const std::string& content) {
    const auto digest = trust::sha256(content);
    EXPECT_THAT(blobs_->upload(digest, ByteCount(content.size()), ByteCount(0), as_bytes(content)), IsOk());
    return digest;
  }
  bool has(const std::string& content) { return blobs_->has(trust::sha256(content)); }
  Pruned prune_at(int day) {
    const auto pruned = prune(*registry_, *blobs_, at(day));
    EXPECT_THAT(pruned, IsOk());
    return pruned ? *pruned : Pruned();
  }
  void board_serves(const trust::Sha256Digest& manifest) {
    Device device;
    device.name = "pi-1";
    device.model = "curvefault";
    device.device_class = "raspberry-pi-4";
    device.key = trust::PrivateKey::from_seed(Bytes(32, std::byte{7}))->public_key();
    device.status.emplace();
    device.status->device = device.name;
    device.status->agent = "0.1.0";
    device.status->model = device.model;
    device.status->device_class = device.device_class;
    device.status->active_manifest = manifest;
    ASSERT_THAT(registry_->save(device), IsOk());
  }

  TemporaryFolder folder_;
  std::unique_ptr<Registry> registry_;
  std::optional<BlobStore> blobs_;
};

TEST_F(PruneTest, blobs_go_a_week_after_nobody_wants_their_release_and_what_others_share_stays) {
  const auto old = release("old", ReleaseState::withdrawn);
  release("new", ReleaseState::published);
  EXPECT_EQ(prune_at(100).blobs, 0U);
  EXPECT_EQ(prune_at(106).blobs, 0U);
  const Pruned pruned = prune_at(107);
  EXPECT_GT(pruned.blobs, 1U);
  EXPECT_GT(pruned.bytes.value(), 0U);
  EXPECT_FALSE(has("old1"));
  EXPECT_TRUE(has("new1"));
  EXPECT_TRUE(has("shared"));
  EXPECT_TRUE(blobs_->has(old)) << "what was released can still be read";
  EXPECT_EQ(prune_at(108).blobs, 0U);
}

TEST_F(PruneTest, what_a_board_serves_stays_however_long_it_is_withdrawn) {
  const auto old = release("old", ReleaseState::revoked);
  board_serves(old);
  prune_at(100);
  EXPECT_EQ(prune_at(200).blobs, 0U);
  EXPECT_EQ(registry_->revoke("pi-1", at(200), "lost", ""), true);
  EXPECT_EQ(prune_at(201).blobs, 0U) << "the week begins when the last board is gone";
  EXPECT_GT(prune_at(208).blobs, 0U);
}

TEST_F(PruneTest, a_release_that_is_permitted_again_has_its_week_anew) {
  release("old", ReleaseState::withdrawn);
  prune_at(100);
  release("old", ReleaseState::published);
  prune_at(105);
  release("old", ReleaseState::withdrawn);
  prune_at(106);
  EXPECT_EQ(prune_at(110).blobs, 0U);
  EXPECT_TRUE(has("old1"));
}

TEST_F(PruneTest, a_clock_that_is_set_back_removes_nothing) {
  release("old", ReleaseState::withdrawn);
  prune_at(100);
  EXPECT_EQ(prune_at(50).blobs, 0U);
}

TEST_F(PruneTest, uploads_that_nobody_goes_on_with_are_removed) {
  const auto begin = [&](const std::string& content) {
    const auto digest = trust::sha256(content);
    EXPECT_THAT(blobs_->upload(digest, ByteCount(1000), ByteCount(0), as_bytes(content)), IsOk());
    return fs::path(blobs_->file(digest).string() + ".part");
  };
  const fs::path left = begin("left");
  const fs::path fresh = begin("fresh");
  fs::last_write_time(left, fs::file_time_type::clock::now() - std::chrono::days(8));
  EXPECT_EQ(prune_at(100).uploads, 1U);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(fresh));
}

TEST_F(PruneTest, rollouts_go_half_a_year_after_their_end) {
  const auto manifest = release("new", ReleaseState::published);
  RolloutRecord rollout;
  rollout.model = "curvefault";
  rollout.manifest = manifest;
  for (const std::string name : {"old", "young", "endless"}) {
    rollout.name = name;
    rollout.state = name == "endless" ? RolloutState::widening : RolloutState::done;
    rollout.ended.reset();
    if (name != "endless") rollout.ended = at(name == "old" ? 10 : 150);
    ASSERT_THAT(registry_->save(rollout), IsOk());
  }
  EXPECT_EQ(prune_at(200).rollouts, 1U);
  EXPECT_FALSE(registry_->rollout("old")->has_value());
  EXPECT_TRUE(registry_->rollout("young")->has_value());
  EXPECT_TRUE(registry_->rollout("endless")->has_value());
}

}  // namespace
}  // namespace outcrop::fleet
