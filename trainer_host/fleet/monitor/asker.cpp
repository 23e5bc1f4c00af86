#include "trainer_host/fleet/monitor/asker.hpp"

#include <spdlog/spdlog.h>

#include "protocol/base/counted.hpp"
#include "protocol/messages/layers.hpp"

namespace outcrop::fleet::monitor {
namespace {

constexpr std::chrono::hours watch_lasts{36};
constexpr std::chrono::hours watch_anew{12};
constexpr std::chrono::hours rest_within{24};
constexpr std::chrono::minutes read_again{5};

// The same on every machine.
std::uint64_t spread_of(const std::string& device) {
  const auto digest = trust::sha256(device);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<std::uint64_t>(digest.bytes()[i]);
  return value;
}

// Why a board whose agent is of before protocol `since` cannot do what is `what`'s.
std::optional<std::string> too_old(const Device& device, int since, const char* to_do, const char* what) {
  if (device.status->speaks >= since) return std::nullopt;
  return std::string("its agent is too old to ") + to_do + ": it speaks protocol " + std::to_string(device.status->speaks) + ", and " + what +
         " are of protocol " + std::to_string(since);
}

}  // namespace

std::optional<std::string> Asker::never_asked_because(const Device& device) const {
  if (device.revoked) return "it is revoked";
  if (!device.status) return "it was never online";
  if (!surroundings_.signs_for(device)) {
    return "what it is sent is not signed: root names no director, or its agent is too old";
  }
  return std::nullopt;
}

std::optional<std::string> Asker::not_asked_because(const Device& device) const {
  if (auto why = never_asked_because(device)) return why;
  if (!surroundings_.online(device.name)) return "it is offline";
  return std::nullopt;
}

void Asker::watch(const Device& device, bool again) {
  if (config_.interval.count() == 0 || not_asked_because(device)) return;
  Asked& asked = watched_[device.name];
  const Timestamp now = clock_->now();
  const auto since = now - asked.when;
  const bool lately = asked.session == device.status->session && since >= std::chrono::seconds(0) && since < watch_anew;
  if (lately && !again) return;
  asked = {device.status->session, now};
  messages::Watch watch;
  watch.interval = config_.interval;
  watch.lasts = watch_lasts;
  surroundings_.send(device.name, watch);
}

void Asker::on_status(const std::string& name) {
  if (config_.interval.count() == 0) return;
  const auto device = registry_->device(name);
  if (device && *device) watch(**device);
}

void Asker::remind(const std::string& name) {
  const auto device = registry_->device(name);
  if (device && *device) watch(**device, true);
}

// So many periods, each board's begun at another hour of them.
std::int64_t Asker::turn_of(const std::string& device) const {
  const std::int64_t period = std::chrono::seconds(config_.measure_every).count();
  const auto offset = static_cast<std::int64_t>(spread_of(device) % static_cast<std::uint64_t>(period));
  return (clock_->now().time_since_epoch().count() + offset) / period;
}

void Asker::tick() {
  const bool measures = config_.measure_every.count() > 0;
  if (config_.interval.count() == 0 && !measures) return;
  if (ticked_ && std::chrono::abs(clock_->now() - *ticked_) < read_again) return;
  ticked_ = clock_->now();
  const auto devices = registry_->devices();
  if (!devices) return spdlog::error("asking boards: {}", devices.error().message());
  for (const Device& device : *devices) {
    if (not_asked_because(device)) continue;
    watch(device);
    if (!measures || !device.status->active_manifest) continue;
    const std::int64_t turn = turn_of(device.name);
    const auto [seen, first] = turns_.try_emplace(device.name, turn);
    // A start of outcropd is no turn, nor is a clock that is set back.
    if (turn > seen->second && !first) {
      surroundings_.send(device.name, messages::Measure{*device.status->active_manifest, rest_within});
    }
    seen->second = turn;
  }
}

Result<std::vector<Device>> Asker::meant_by(const MeasureRequest& request, const std::string& doing) const {
  if (request.device.empty() && request.device_class.empty() && !request.manifest) {
    return fail(ErrorCode::invalid_argument, "say which boards are to " + doing +
                                                 ": one by name, those of a class, or those that serve a release");
  }
  std::vector<Device> devices;
  if (!request.device.empty()) {
    OUTCROP_TRY(device, registry_->device(request.device));
    if (!device) return fail(ErrorCode::not_found, "no board '" + request.device + "' is enrolled");
    devices.push_back(std::move(*device));
  } else {
    OUTCROP_TRY(all, registry_->devices());
    devices = std::move(all);
  }
  std::erase_if(devices, [&](const Device& device) {
    const auto active = device.status ? device.status->active_manifest : std::nullopt;
    return (!request.device_class.empty() && device.device_class != request.device_class) ||
           (request.manifest && active != request.manifest) || (request.device.empty() && device.revoked);
  });
  if (devices.empty()) return fail(ErrorCode::not_found, "no board is of that class, or serves that release");
  return devices;
}

std::optional<std::string> Asker::nothing_served(const Device& device) {
  return device.status->active_manifest ? std::nullopt : std::optional<std::string>("it serves nothing");
}

Result<MeasureAnswer> Asker::ask(const std::vector<Device>& devices, const std::function<std::optional<std::string>(const Device&)>& why_not,
                                 const std::function<Status(const Device&)>& send, Reaching reaching) const {
  MeasureAnswer answer;
  for (const Device& device : devices) {
    auto why = reaching == Reaching::who_is_online ? not_asked_because(device) : never_asked_because(device);
    if (!why) why = why_not(device);
    if (why) {
      answer.left_out.emplace(device.name, std::move(*why));
      continue;
    }
    OUTCROP_CHECK(send(device));
    (surroundings_.online(device.name) ? answer.asked : answer.left_for).push_back(device.name);
  }
  return answer;
}

Result<MeasureAnswer> Asker::measure(const MeasureRequest& request) {
  OUTCROP_TRY(devices, meant_by(request, "measure"));
  const auto why_not = [&](const Device& device) -> std::optional<std::string> {
    if (auto why = nothing_served(device)) return why;
    if (!request.layers || device.status->speaks >= messages::layers_since) return std::nullopt;
    return "its agent is too old to time layers: it speaks protocol " + std::to_string(device.status->speaks);
  };
  return ask(devices, why_not, [&](const Device& device) -> Status {
    messages::Measure measure{*device.status->active_manifest, rest_within, request.layers};
    if (request.layers) measure.protocol = messages::layers_since;
    surroundings_.send(device.name, measure);
    return {};
  });
}

Result<MeasureAnswer> Asker::draw(const MeasureRequest& request, std::size_t most) {
  OUTCROP_TRY(devices, meant_by(request, "draw"));
  std::size_t asked = 0;
  const auto why_not = [&](const Device& device) -> std::optional<std::string> {
    if (auto why = nothing_served(device)) return why;
    if (auto why = too_old(device, messages::pictures_since, "draw", "pictures")) return why;
    return asked < most ? std::nullopt : std::optional("no more than " + counted(most, "board") + " at once");
  };
  return ask(devices, why_not, [&](const Device& device) -> Status {
    OUTCROP_CHECK(registry_->ask_picture(device.name, clock_->now()));
    surroundings_.send(device.name, messages::Draw{*device.status->active_manifest, rest_within});
    ++asked;
    return {};
  });
}

Result<MeasureAnswer> Asker::move(const MeasureRequest& request, const messages::Move& move, Timestamp until) {
  const bool all = request.device.empty() && request.device_class.empty();
  OUTCROP_TRY(devices, all ? registry_->devices() : meant_by(request, "follow their broker"));
  if (all) std::erase_if(devices, [](const Device& device) { return device.revoked.has_value(); });
  const auto why_not = [](const Device& device) { return too_old(device, messages::moves_since, "follow its broker", "moves"); };
  return ask(devices, why_not, [&](const Device& device) -> Status {
    surroundings_.leave(device.name, move, until);
    return {};
  }, Reaching::whoever_is_away_too);
}

}  // namespace outcrop::fleet::monitor
