#include "trainer_host/fleet/rollout/view_reader.hpp"

#include <gmock/gmock.h>

#include <random>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet {
namespace {

using messages::DeploymentState;

std::string in_words(const RolloutView& view) {
  std::string words = std::string(to_string(view.rollout.state)) + "\n";
  for (const Device& device : view.devices) {
    words += device.name + " " + device.device_class + (device.revoked ? " revoked " : " ") + device.revoked_reason +
             (device.status ? " " + std::to_string(device.status->generation) : "") + (view.online.contains(device.name) ? " online" : "") +
             (view.superseded.contains(device.name) ? " superseded\n" : "\n");
  }
  for (const Assignment& one : view.assignments) {
    words += one.device + (one.canary ? " canary " : " ") + std::to_string(one.generation) + " " +
             (one.state ? std::string(messages::to_string(*one.state)) : "") + (one.cancelled ? " cancelled\n" : "\n");
  }
  return words + std::to_string(view.online.size()) + " online, " + std::to_string(view.superseded.size()) + " superseded";
}

class ViewReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_sqlite_registry(folder_.path() / "registry.sqlite");
    ASSERT_THAT(opened, IsOk());
    registry_ = std::move(*opened);
    ReleaseRecord release;
    release.manifest = trust::sha256("m");
    release.model = "m";
    ASSERT_THAT(registry_->save(release), IsOk());
    for (const char* name : {"r", "later"}) {
      RolloutRecord rollout;
      rollout.name = name;
      rollout.model = "m";
      rollout.manifest = release.manifest;
      rollout.target.tag = "lab";
      ASSERT_THAT(registry_->save(rollout), IsOk());
    }
  }
  std::unique_ptr<ViewReader> reader() {
    return std::make_unique<ViewReader>(
        *registry_, clock_,
        ViewReader::Surroundings{[this](const std::string& device) { return online_.contains(device); },
                                 [this](const trust::Sha256Digest&) -> Result<const messages::Manifest*> { return &manifest_; },
                                 std::chrono::hours(24), 64});
  }
  std::string read(ViewReader& reader) {
    const auto view = reader.read(**registry_->rollout("r"));
    EXPECT_THAT(view, IsOk());
    return view ? in_words(**view) : "";
  }

  // Something that may happen to a board, by the registry's own functions.
  Status happen(ViewReader& kept, std::mt19937& random) {
    const auto below = [&](int count) { return std::uniform_int_distribution<int>(0, count - 1)(random); };
    const std::string name = "board-" + std::to_string(below(12));
    OUTCROP_TRY(found, registry_->device(name));
    Assignment assignment;
    assignment.rollout = below(4) == 0 ? "later" : "r";
    assignment.device = name;
    assignment.canary = true;
    assignment.manifest = trust::sha256("m");
    assignment.generation = static_cast<std::uint64_t>(below(1000));
    assignment.cancelled = below(5) == 0;
    if (below(2) == 0) assignment.state = DeploymentState::measuring;
    const int what = found ? below(7) : 0;
    if (what == 0) {
      Device device;
      device.name = name;
      device.model = below(5) == 0 ? "another" : "m";
      device.device_class = below(2) == 0 ? "pi" : "toaster";
      return registry_->save(device);
    }
    if (what == 1) return registry_->save(assignment);
    if (what == 2) return registry_->remove(assignment);
    if (what == 3) {
      const auto revoked = registry_->revoke(name, clock_.now(), "stolen", "");
      return revoked ? Status() : fail(revoked.error());
    }
    if (what == 4) {
      const auto tagged = registry_->save_tags(name, below(3) == 0 ? std::set<std::string>{} : std::set<std::string>{"lab"});
      return tagged ? Status() : fail(tagged.error());
    }
    if (what == 5) {
      below(2) == 0 ? (void)online_.insert(name) : (void)online_.erase(name);
      kept.came_or_went(name);
      return {};
    }
    // What came to nothing, and was looked at meanwhile.
    const Status undone = registry_->transaction([&]() -> Status {
      OUTCROP_CHECK(registry_->save(assignment));
      (void)read(kept);
      return fail(ErrorCode::no_space, "disk full");
    });
    return undone.error().code() == ErrorCode::no_space ? Status() : undone;
  }

  TemporaryFolder folder_;
  SystemClock clock_;
  std::unique_ptr<Registry> registry_;
  std::set<std::string> online_;
  messages::Manifest manifest_;
};

TEST_F(ViewReaderTest, what_is_kept_is_what_would_be_read) {
  std::mt19937 random(7);
  const auto kept = reader();
  for (int i = 0; i < 400; ++i) {
    ASSERT_THAT(happen(*kept, random), IsOk());
    if (i % 3 != 0) continue;
    ASSERT_EQ(read(*kept), read(*reader())) << "after " << i;
    if (i % 60 == 0) {
      online_.clear();
      kept->everybody_went();
    }
  }
}

}  // namespace
}  // namespace outcrop::fleet
