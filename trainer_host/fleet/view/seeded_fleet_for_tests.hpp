#pragma once

#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/view/fleet_view.hpp"

namespace outcrop::fleet {

// A fleet in a registry, by the registry's own functions: boards of some classes, two releases, two rollouts
// and what the boards measured, the same each time.
class SeededFleet {
 public:
  explicit SeededFleet(const std::filesystem::path& file) : registry_(*open_sqlite_registry(file)) {
    before_ = release(1);
    after_ = release(2);
  }

  // Everything between in one transaction: many boards are written in a moment.
  void at_once(const std::function<void()>& work) {
    check(registry_->transaction([&]() -> Status {
      work();
      return {};
    }));
  }

  // `slower`: by how much the second release is on these boards, .05 by 5 %.
  void add(const std::string& name, const std::string& device_class, double slower,
           const std::string& model = "curvefault") {
    const int seed = count_++;
    Device device;
    device.name = name;
    device.model = model;
    device.device_class = device_class;
    device.key = key_.public_key();
    device.enrolled = now - std::chrono::hours(24 * 30);
    device.last_seen = now - std::chrono::seconds(10 + seed % 50);
    messages::DeviceStatus status;
    status.device = name;
    status.online = true;
    status.model = model;
    status.device_class = device_class;
    status.agent = "0.1.0";
    status.speaks = protocol_version;
    status.generation = 2;
    status.active_manifest = after_;
    status.active_variant = "int8-qint8";
    device.status = status;
    check(registry_->save(device));
    const double own = 1 + .03 * std::sin(seed * 12.9898);
    for (int stage = 1; stage <= 2; ++stage) {
      for (int repeat = 0; repeat < 4; ++repeat) {
        const double noise = 1 + .01 * std::sin(seed * 78.233 + repeat * 37.7 + stage);
        measure(name, device_class, stage, repeat, own * noise * (stage == 2 ? 1 + slower : 1));
      }
    }
  }

  // One that heat held back when it measured the second release.
  void throttle(const std::string& name, const std::string& device_class) {
    messages::Report report = report_of(name, device_class, 2, 1.6);
    for (auto& variant : report.variants) {
      variant.measurement->void_because = {
          "the firmware throttled the processor (under-voltage or temperature)"};
    }
    add(report, now - std::chrono::minutes(3));
  }

  void roll_out(const std::string& name, int stage, RolloutState state, const std::string& reason,
                const std::vector<std::string>& boards, messages::DeploymentState of_boards) {
    RolloutRecord rollout;
    rollout.name = name;
    rollout.model = "curvefault";
    rollout.manifest = stage == 1 ? before_ : after_;
    rollout.state = state;
    rollout.reason = reason;
    rollout.started = now - std::chrono::hours(stage == 1 ? 48 : 2);
    if (has_ended(state)) rollout.ended = now - std::chrono::hours(1);
    check(registry_->save(rollout));
    std::uint64_t generation = static_cast<std::uint64_t>(stage) * 1000;
    for (const std::string& board : boards) {
      Assignment assignment;
      assignment.rollout = name;
      assignment.device = board;
      assignment.canary = board == boards.front();
      assignment.generation = ++generation;
      assignment.manifest = rollout.manifest;
      assignment.variants = {"int8-qint8"};
      assignment.state = of_boards;
      assignment.confirmed = true;
      assignment.updated = now - std::chrono::minutes(30);
      check(registry_->save(assignment));
    }
  }

  [[nodiscard]] Registry& registry() { return *registry_; }
  [[nodiscard]] FleetView::Surroundings surroundings() {
    return {[this](const std::string& name) { return !offline.contains(name); },
            [](const trust::Sha256Digest&, const std::string&, const std::string&) {
              return std::optional<double>(10);
            }};
  }
  [[nodiscard]] const trust::Sha256Digest& before() const { return before_; }
  [[nodiscard]] const trust::Sha256Digest& after() const { return after_; }

  const Timestamp now{std::chrono::seconds(1'790'000'000)};
  std::set<std::string> offline;

 private:
  static void check(const Status& status) {
    if (!status) throw std::runtime_error(status.error().message());
  }

  trust::Sha256Digest release(std::uint64_t stage) {
    ReleaseRecord release;
    release.manifest = trust::sha256("stage " + std::to_string(stage));
    release.model = "curvefault";
    release.stage = stage;
    release.epoch = stage * 20;
    release.published = now - std::chrono::hours(stage == 1 ? 49 : 3);
    release.quality = "";
    check(registry_->save(release));
    return release.manifest;
  }

  messages::Report report_of(const std::string& name, const std::string& device_class, int stage,
                             double factor) {
    messages::Report report;
    report.header.device = name;
    report.header.session = 1;
    report.header.sequence = ++sequence_;
    report.header.time = now;
    report.deployment = {stage == 1 ? "first" : "second", static_cast<std::uint64_t>(stage),
                         stage == 1 ? before_ : after_};
    report.state = messages::DeploymentState::updated;
    report.device_class = device_class;
    report.agent = "0.1.0";
    report.engine = "torch";
    report.engine_version = "1.13.1";
    report.full_confinement = true;
    report.active_manifest = report.deployment.manifest;
    report.active_variant = "int8-qint8";
    const double size = device_class == "raspberry-pi-5" ? 14 : 38;
    for (const auto& [variant, share] : {std::pair("float", 2.6), std::pair("int8-qint8", 1.0)}) {
      messages::ReportedVariant one;
      one.name = variant;
      one.outcome = messages::VariantOutcome::measured;
      one.proof = {{"map", share > 2 ? .0001 : 4.5, share > 2 ? .001 : 31.0}};
      messages::ReportedMeasurement measured;
      measured.calls = 100;
      measured.load_ms = 120 * share;
      measured.p50_ms = measured.mean_ms = size * share * factor;
      measured.first_ms = measured.p50_ms * 1.4;
      measured.min_ms = measured.p50_ms * .97;
      measured.p90_ms = measured.p50_ms * 1.04;
      measured.p99_ms = measured.max_ms = measured.p50_ms * 1.2;
      measured.peak_memory = ByteCount(static_cast<std::uint64_t>(180e6 + 40e6 * share));
      measured.engine_memory = ByteCount(40'000'000);
      one.measurement = measured;
      report.variants.push_back(one);
    }
    return report;
  }

  void measure(const std::string& name, const std::string& device_class, int stage, int repeat,
               double factor) {
    add(report_of(name, device_class, stage, factor),
        now - std::chrono::hours(stage == 1 ? 40 - repeat * 8 : 0) -
            std::chrono::minutes(stage == 1 ? 0 : 100 - repeat * 20));
  }

  void add(const messages::Report& report, Timestamp received) {
    const auto taken = registry_->add_report(report, key_.public_key().id(), "", received);
    if (!taken) throw std::runtime_error(taken.error().message());
  }

  std::unique_ptr<Registry> registry_;
  trust::PrivateKey key_ = *trust::PrivateKey::generate();
  trust::Sha256Digest before_, after_;
  int count_ = 0;
  std::uint64_t sequence_ = 0;
};

}  // namespace outcrop::fleet
