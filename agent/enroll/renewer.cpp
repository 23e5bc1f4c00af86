#include "agent/enroll/renewer.hpp"

#include <algorithm>
#include <vector>

#include <spdlog/spdlog.h>
#include <boost/asio/steady_timer.hpp>

#include "agent/enroll/next_identity.hpp"
#include "agent/report/next_header.hpp"
#include "protocol/messages/renewal.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::hours look_every{1};
constexpr int parts_left = 3;  // of a certificate's time: begun with the last

}  // namespace

class Renewer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, RenewerParts parts)
      : parts_(std::move(parts)),
        next_(parts_.identity.next()),
        on_trial_(next_.on_trial()),
        look_(executor),
        trial_(executor) {}

  void start() {
    look_soon();
    if (!on_trial_) return;
    trial_.expires_after(parts_.trial);
    trial_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self && !self->connected_) self->go_back();
    });
  }

  void stop() {
    session_ = nullptr;
    look_.cancel();
    trial_.cancel();
  }

  Status begin() {
    if (!parts_.metadata.director()) {
      return fail(ErrorCode::refused, "this board's root names no director, and nobody else's word on certificates counts");
    }
    OUTCROP_CHECK(next_.begin());
    say();
    return {};
  }

  void on_connected() {
    connected_ = true;
    say();
  }

  void on_certificate(const messages::Certificate& certificate) {
    if (const Status taken = next_.take(certificate.certificate, parts_.identity.device()); !taken) {
      return spdlog::warn("a certificate is not taken: {}", taken.error().message());
    }
    spdlog::info("this board has a new certificate, and connects by it");
    parts_.begin_again();
  }

  void on_acknowledged(const messages::Acknowledgement& acknowledgement) {
    const auto& ids = acknowledgement.reports;
    if (!on_trial_ || !said_ || std::find(ids.begin(), ids.end(), *said_) == ids.end()) return;
    if (const Status written = next_.become_known(); !written) {
      return spdlog::error("the host knows this board's new key: {}", written.error().message());
    }
    spdlog::info("the host knows this board's new key, which takes the place of the old one");
    parts_.begin_again();
  }

  [[nodiscard]] std::string state() const {
    if (on_trial_) return connected_ ? "its new certificate is tried: the host is told" : "its new certificate is tried";
    return next_.key() ? "asks for a new certificate: `outcrop device renew` on the host" : "";
  }

 private:
  void look_soon() {
    look_.expires_after(look_every);
    look_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self) return;
      self->say();
      self->look_soon();
    });
  }

  // By the clock where somebody keeps it, else by the lowest time that can be.
  [[nodiscard]] bool is_due() const {
    const auto present = trust::read_certificate(parts_.identity.enrolment().certificate);
    return present && present->not_after - parts_.metadata.now() < (present->not_after - present->not_before) / parts_left;
  }

  void say() {
    if (session_ == nullptr || !session_->connected() || !parts_.metadata.director()) return;
    if (!next_.key() && is_due()) {
      if (const Status begun = next_.begin(); !begun) spdlog::error("a new key: {}", begun.error().message());
    }
    const auto key = next_.key();
    if (!key) return;
    const auto request = trust::make_certificate_request(*key);
    if (!request) return spdlog::error("{}", request.error().message());
    messages::Renewal renewal;
    renewal.header = next_header(parts_.identity.device(), parts_.outbox, parts_.metadata, signed_since);
    renewal.certificate_request = *request;
    if (on_trial_) renewal.certificate = next_.certificate().value_or("");
    said_ = messages::MessageId{renewal.header.session, renewal.header.sequence};
    const std::vector<trust::PrivateKey> keys{parts_.identity.key(), *key};
    session_->publish({transport::topics::up(renewal.header.device, "renewal"),
                       trust::sign_envelope(messages::renewal_kind, as_bytes(to_json(renewal)), keys), false},
                      transport::Delivery::at_least_once, [](const Status& status) {
                        if (!status) spdlog::info("asking for a certificate: {}", status.error().message());
                      });
  }

  void go_back() {
    spdlog::error("nobody lets this board in by its new certificate: it connects by the old one, and asks again");
    if (const Status gone = next_.give_up(); !gone) return spdlog::error("{}", gone.error().message());
    parts_.begin_again();
  }

  friend class Renewer;
  RenewerParts parts_;
  const NextIdentity next_;
  const bool on_trial_;
  asio::steady_timer look_;
  asio::steady_timer trial_;
  transport::Session* session_ = nullptr;
  bool connected_ = false;
  std::optional<messages::MessageId> said_;
};

Renewer::Renewer(asio::any_io_executor executor, RenewerParts parts)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(parts))) {}
Renewer::~Renewer() = default;

void Renewer::speak_through(transport::Session& session) {
  impl_->session_ = &session;
  impl_->start();
}
void Renewer::stop() {
  impl_->stop();
}
Status Renewer::begin() {
  return impl_->begin();
}
void Renewer::on_connected() {
  impl_->on_connected();
}
void Renewer::on_certificate(const messages::Certificate& certificate) {
  impl_->on_certificate(certificate);
}
void Renewer::on_acknowledged(const messages::Acknowledgement& acknowledgement) {
  impl_->on_acknowledged(acknowledgement);
}
std::string Renewer::state() const {
  return impl_->state();
}

}  // namespace outcrop::agent
