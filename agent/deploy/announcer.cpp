#include "agent/deploy/announcer.hpp"

#include <algorithm>
#include <random>
#include <set>

#include <spdlog/spdlog.h>
#include <boost/asio/steady_timer.hpp>

#include "agent/report/next_header.hpp"
#include "platform/spawn/spawn.hpp"
#include "protocol/base/version.hpp"
#include "protocol/transport/awaitable.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace topics = transport::topics;
namespace {

constexpr std::chrono::milliseconds last_repeat = std::chrono::hours(1);

// The one in which the host speaks to this board.
int chosen_protocol(const Deployment& deployment) {
  return deployment.cancel ? deployment.cancel->protocol : deployment.offer.protocol;
}

// From 1, within what JSON holds of whole numbers.
std::uint64_t draw_instance() {
  std::random_device chance;
  return ((std::uint64_t{chance()} << 20) ^ chance()) | 1;
}

}  // namespace

class Announcer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, const Board& board, std::chrono::milliseconds first_repeat)
      : executor_(executor),
        timer_(executor),
        board_(board),
        first_repeat_(first_repeat),
        repeat_(first_repeat) {}

  void publish(std::string topic, std::string payload, bool retained) {
    if (session_ == nullptr || !session_->connected()) return;  // said again after connecting
    auto done = [topic](const Status& status) {
      if (status || status.error().code() == ErrorCode::io) return;
      spdlog::error("the broker did not take {}: {}", topic, status.error().message());
    };
    session_->publish({std::move(topic), std::move(payload), retained},
                      transport::Delivery::at_least_once, done);
  }

  messages::DeviceHeader header(int protocol) {
    return next_header(board_.device, board_.outbox, board_.metadata, protocol);
  }

  [[nodiscard]] std::string with_trouble(const std::string& reason) const {
    const std::string trouble = board_.trouble ? board_.trouble() : std::string();
    if (trouble.empty()) return reason;
    return messages::as_reason(reason + (reason.empty() ? "" : "; ") + "on this board: " + trouble);
  }

  messages::Report make_report(const Deployment& deployment) {
    messages::Report report;
    report.header = header(chosen_protocol(deployment));
    report.deployment = deployment.id();
    report.state = deployment.state;
    report.reason = deployment.reason;
    report.device_class = board_.config.device_class;
    report.agent = std::string(version());
    report.engine = "unknown";
    if (board_.engine) {
      report.engine = board_.engine->engine;
      report.engine_version = board_.engine->engine_version;
      for (const runtime::Backend& backend : board_.engine->backends) {
        report.backends.push_back({backend.name, backend.failed});
      }
      report.full_confinement = board_.engine->confinement == runtime::Confinement::full;
      report.confinement_missing = board_.engine->missing;
    } else {
      report.confinement_missing = {"no runner has started yet"};
    }
    report.metadata_age = board_.metadata.age();
    if (const auto active = board_.slots.serving()) {
      report.active_manifest = active->manifest;
      report.active_variant = active->variant;
    }
    report.variants = deployment.variants;
    report.incumbent = deployment.incumbent;
    return report;
  }

  Outbox::Pending sign_report(const Deployment& deployment) {
    const messages::Report report = make_report(deployment);
    return {{report.header.session, report.header.sequence},
            trust::sign_envelope("report", as_bytes(messages::to_json(report)),
                                 std::span(&board_.key, 1))};
  }

  // Sends what is pending and was not sent yet, one at a time; where anything is then left that
  // the host has not acknowledged, all of it is sent again later.
  asio::awaitable<void> send_all() {
    const std::shared_ptr<Impl> self = shared_from_this();
    if (sending_) co_return;
    sending_ = true;
    const std::vector<Outbox::Pending> pending = board_.outbox.pending();
    for (const Outbox::Pending& report : pending) {
      if (session_ == nullptr || !session_->connected()) break;
      if (!sent_.insert(report.id).second) continue;
      transport::Message message{topics::up(board_.device, "report"), report.envelope, false};
      const Status sent = co_await transport::publish(*session_, std::move(message),
                                                      transport::Delivery::at_least_once);
      if (!sent && sent.error().code() == ErrorCode::io) break;  // the next connection's business
      if (!sent) spdlog::error("the broker did not take a report: {}", sent.error().message());
    }
    sending_ = false;
    if (again_) {
      again_ = false;
      send_soon();
    } else if (!pending.empty()) {
      repeat_later();
    }
  }

  void send_soon() {
    if (sending_) {
      again_ = true;
      return;
    }
    platform::spawn(executor_, send_all());
  }

  // What was said lately does not put off what waits already, and only silence makes it wait
  // longer.
  void repeat_later() {
    if (repeats_) return;
    repeats_ = true;
    timer_.expires_after(repeat_);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self) return;
      self->repeats_ = false;
      self->repeat_ = std::min(2 * self->repeat_, last_repeat);
      self->sent_.clear();
      self->send_soon();
    });
  }

  void begin_anew() {
    timer_.cancel();
    repeats_ = false;
    repeat_ = first_repeat_;
  }

  asio::any_io_executor executor_;
  asio::steady_timer timer_;
  Board board_;
  std::uint64_t instance_ = draw_instance();
  transport::Session* session_ = nullptr;
  std::set<messages::MessageId> sent_;  // on this connection, since the last repetition
  bool sending_ = false;
  bool again_ = false;
  bool repeats_ = false;  // the timer runs
  std::chrono::milliseconds first_repeat_;
  std::chrono::milliseconds repeat_;
};

Announcer::Announcer(asio::any_io_executor executor, const Board& board,
                     std::chrono::milliseconds first_repeat)
    : impl_(std::make_shared<Impl>(std::move(executor), board, first_repeat)) {}
Announcer::~Announcer() = default;

void Announcer::speak_through(transport::Session& session) {
  impl_->session_ = &session;
}

messages::DeviceStatus Announcer::status_of(const Record& record, bool online) const {
  const Board& board = impl_->board_;
  messages::DeviceStatus status;
  if (record.deployment) status.protocol = std::min(chosen_protocol(*record.deployment), protocol_version);
  status.device = board.device;
  status.session = board.outbox.session();
  status.online = online;
  status.agent = std::string(version());
  status.speaks = protocol_version;
  status.model = board.config.model;
  status.device_class = board.config.device_class;
  status.held = record.held;
  status.generation = record.generation;
  status.root_version = board.metadata.root_version();
  status.snapshot_version = board.metadata.snapshot_version();
  if (status.protocol >= messages::instances_since) {
    status.instance = impl_->instance_;
    status.stage_version = board.metadata.stage_version();
  }
  if (record.deployment) {
    status.deployment = messages::DeviceStatus::Deployment{
        record.deployment->id(), record.deployment->state, record.deployment->reason};
    // A will is written long before it is read.
    if (online) status.deployment->reason = impl_->with_trouble(record.deployment->reason);
  }
  if (const auto active = board.slots.serving()) {
    status.active_manifest = active->manifest;
    status.active_variant = active->variant;
  }
  return status;
}

std::string Announcer::status_text(const Record& record, bool online) const {
  const std::string text = messages::to_json(status_of(record, online));
  if (!impl_->board_.metadata.director()) return text;
  return trust::sign_envelope(messages::status_kind, as_bytes(text),
                              std::span(&impl_->board_.key, 1));
}

void Announcer::status(const Record& record, bool online) {
  impl_->publish(topics::status(impl_->board_.device), status_text(record, online), true);
}

void Announcer::progress(const Deployment& deployment, const std::string& variant,
                         const Transfer& transfer) {
  messages::Progress progress;
  progress.header = impl_->header(chosen_protocol(deployment));
  progress.deployment = deployment.id();
  progress.state = deployment.state;
  progress.reason = deployment.reason;
  progress.variant = variant.empty() ? deployment.variant : variant;
  progress.bytes_done = transfer.done;
  progress.bytes_total = transfer.total;
  impl_->publish(topics::up(impl_->board_.device, "progress"), messages::to_json(progress), false);
}

void Announcer::report(const Deployment& deployment) {
  impl_->board_.outbox.add(impl_->sign_report(deployment));
  impl_->send_soon();
}

void Announcer::layers(const trust::Sha256Digest& manifest, std::vector<messages::VariantLayers> variants) {
  const Board& board = impl_->board_;
  messages::Layers layers;
  layers.header = impl_->header(messages::layers_since);
  layers.device_class = board.config.device_class;
  layers.engine = board.engine ? board.engine->engine : "unknown";
  layers.engine_version = board.engine ? board.engine->engine_version : "";
  layers.manifest = manifest;
  layers.variants = std::move(variants);
  impl_->publish(topics::up(board.device, messages::layers_kind),
                 trust::sign_envelope(messages::layers_kind, as_bytes(messages::to_json(layers)),
                                      std::span(&impl_->board_.key, 1)),
                 false);
}

void Announcer::hold(const Deployment& deployment) {
  impl_->board_.outbox.hold(impl_->sign_report(deployment));
}

void Announcer::send() {
  impl_->send_soon();
}

const std::optional<Outbox::Pending>& Announcer::held_report() const {
  return impl_->board_.outbox.held();
}

void Announcer::report_trouble(const Record& record) {
  if (!record.deployment) return;
  Deployment about = *record.deployment;
  about.reason = impl_->with_trouble(about.reason);
  if (about.reason != record.deployment->reason) report(about);
}

void Announcer::on_connected() {
  impl_->begin_anew();
  impl_->sent_.clear();
  impl_->send_soon();
}

void Announcer::on_acknowledged(const messages::Acknowledgement& acknowledgement) {
  if (auto done = impl_->board_.outbox.acknowledge(acknowledgement.reports); !done) {
    spdlog::error("clearing the outbox: {}", done.error().message());
  }
  impl_->repeat_ = impl_->first_repeat_;  // the host is there
}

std::size_t Announcer::pending_reports() const {
  return impl_->board_.outbox.pending().size();
}

}  // namespace outcrop::agent
