#include "trainer_host/fleet/ingest/ingest.hpp"

#include <spdlog/spdlog.h>

#include <utility>

#include "protocol/messages/names.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::string_view device_prefix = "outcrop/v1/d/";
// Base64 of the longest report, and room for signature and field names.
constexpr std::size_t longest_report_envelope =
    messages::report_limit.value() / 3 * 4 + ByteCount::kib(4).value();

}  // namespace

Ingest::Ingest(Registry& registry, const Clock& clock, IngestHandlers handlers)
    : registry_(&registry), clock_(&clock), handlers_(std::move(handlers)) {}

bool Ingest::on_message(const transport::Message& message) {
  std::string_view rest = message.topic;
  if (!rest.starts_with(device_prefix)) return false;
  rest.remove_prefix(device_prefix.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string name(rest.substr(0, slash));
  const std::string_view leaf = rest.substr(slash + 1);
  if (leaf == "status") {
    // An empty retained message is how a broker says that there is none.
    if (!message.payload.empty()) on_status(name, message.payload);
  } else if (leaf == "up/progress") {
    on_progress(name, message.payload);
  } else if (leaf == "up/report") {
    on_report(name, message.payload);
  } else {
    return false;
  }
  return true;
}

const messages::Progress* Ingest::progress(const std::string& device) const {
  const auto found = progress_.find(device);
  return found == progress_.end() ? nullptr : &found->second;
}

void Ingest::forget(const std::string& device) {
  online_.erase(device);
  progress_.erase(device);
}

// Whoever misbehaves shall not fill the log: the first is told, then the 2nd, 4th, 8th, ...
void Ingest::refuse(std::uint64_t& counter, const std::string& name, const std::string& why) {
  ++counter;
  if ((counter & (counter - 1)) == 0) {
    spdlog::warn("refused a message of '{}': {} ({} of this kind so far)", name, why, counter);
  }
}

std::optional<Device> Ingest::sender(const std::string& name) {
  if (!messages::is_name(name)) {
    refuse(statistics_.unknown, "?", "its topic names no device");
    return std::nullopt;
  }
  auto device = registry_->device(name);
  if (!device) {
    spdlog::error("cannot look up the device '{}': {}", name, device.error().message());
    return std::nullopt;
  }
  if (!*device) {
    refuse(statistics_.unknown, name, "it is not enrolled");
    return std::nullopt;
  }
  if ((*device)->revoked) {
    refuse(statistics_.unknown, name, "it is revoked");
    return std::nullopt;
  }
  return std::move(**device);
}

void Ingest::on_status(const std::string& name, std::string_view payload) {
  auto device = sender(name);
  if (!device) return;
  auto status = messages::parse_status(payload);
  if (!status) return refuse(statistics_.malformed, name, status.error().message());
  if (status->device != name) {
    return refuse(statistics_.forged, name, "its status is that of '" + status->device + "'");
  }
  if (device->status && status->session < device->status->session) {
    return refuse(statistics_.stale, name,
                  "session " + std::to_string(status->session) + " is over, " +
                      std::to_string(device->status->session) +
                      " began since (a board that lost its state is to be enrolled anew)");
  }
  // A will was written when its session began: that the session ended is all it has to tell.
  const bool last_will =
      !status->online && device->status && device->status->session == status->session;
  if (last_will) {
    device->status->online = false;
  } else {
    device->status = *status;
  }
  device->last_seen = clock_->now();
  if (const Status saved = registry_->save(*device); !saved) {
    return spdlog::error("cannot store the status of '{}': {}", name, saved.error().message());
  }
  ++statistics_.statuses;
  if (status->online) {
    online_.insert(name);
  } else {
    online_.erase(name);
  }
  if (status->deployment && !last_will && handlers_.statement) {
    handlers_.statement(name, {status->deployment->id,
                               status->deployment->state,
                               status->deployment->reason,
                               {status->session, 0},
                               false});
  }
  if (handlers_.status) handlers_.status(name);
}

void Ingest::on_progress(const std::string& name, std::string_view payload) {
  if (!sender(name)) return;
  auto progress = messages::parse_progress(payload);
  if (!progress) return refuse(statistics_.malformed, name, progress.error().message());
  const messages::DeviceHeader& header = progress->header;
  if (header.device != name) {
    return refuse(statistics_.forged, name, "its progress is that of '" + header.device + "'");
  }
  ++statistics_.progress;
  const Statement statement{progress->deployment,
                            progress->state,
                            progress->reason,
                            {header.session, header.sequence},
                            false};
  progress_.insert_or_assign(name, std::move(*progress));
  if (handlers_.statement) handlers_.statement(name, statement);
}

void Ingest::on_report(const std::string& name, std::string_view payload) {
  const auto device = sender(name);
  if (!device) return;
  if (payload.size() > longest_report_envelope) {
    return refuse(statistics_.malformed, name,
                  "a report of " + ByteCount(payload.size()).human() + ", more than the " +
                      messages::report_limit.human() + " allowed");
  }
  const trust::KeyId key = device->key.id();
  const auto verified =
      trust::verify_envelope(payload, "report", {"board " + name, {{key, device->key}}, 1});
  if (!verified) {
    std::uint64_t& counter = verified.error().code() == ErrorCode::untrusted
                                 ? statistics_.forged
                                 : statistics_.malformed;
    return refuse(counter, name, verified.error().message());
  }
  const auto report = messages::parse_report(verified->bytes());
  if (!report) return refuse(statistics_.malformed, name, report.error().message());
  if (report->header.device != name) {
    return refuse(statistics_.forged, name,
                  "its report is that of '" + report->header.device + "'");
  }
  const auto added = registry_->add_report(*report, key, payload, clock_->now());
  if (!added) {
    // Not acknowledged: the board keeps it and sends it again.
    return spdlog::error("cannot store a report of '{}': {}", name, added.error().message());
  }
  const messages::MessageId id{report->header.session, report->header.sequence};
  ++(*added ? statistics_.reports : statistics_.repeated);
  // For a repeat, too: this program may have been killed right after it stored the report.
  if (handlers_.statement) {
    const bool measured = !report->variants.empty();
    handlers_.statement(name,
                        {report->deployment, report->state, report->reason, id, true, measured});
  }
  if (handlers_.acknowledge) handlers_.acknowledge(name, {{id}, report->header.protocol});
}

}  // namespace outcrop::fleet
