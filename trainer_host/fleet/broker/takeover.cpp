#include "trainer_host/fleet/broker/takeover.hpp"

#include <utility>  // before Asio

#include <boost/asio/steady_timer.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/transport/paho/paho_session.hpp"

namespace outcrop::fleet {

namespace fs = std::filesystem;

class Takeover::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(boost::asio::any_io_executor executor, transport::SessionOptions session, fs::path folder,
       std::string device, std::function<void(Status)> finished)
      : folder_(std::move(folder)),
        device_(std::move(device)),
        finished_(std::move(finished)),
        timer_(executor),
        session_(transport::make_paho_session(executor, std::move(session))) {}
  ~Impl() {
    session_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  void begin() {
    timer_.expires_after(std::chrono::seconds(30));
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
      const auto self = weak.lock();
      if (cancelled || !self) return;
      self->finish(fail(ErrorCode::timeout,
                        "no connection as '" + self->device_ + "' came about: " + self->last_));
    });
    session_->start({.connected = [this] { leave(); },
                     .lost = [this](const Error& error) { last_ = error.message(); },
                     .message = nullptr});
  }

 private:
  void leave() {
    session_->stop([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->finish({});
    });
  }

  void finish(Status status) {
    timer_.cancel();
    if (auto finished = std::exchange(finished_, nullptr)) finished(std::move(status));
  }

  fs::path folder_;
  std::string device_;
  std::function<void(Status)> finished_;
  std::string last_ = "no answer";
  boost::asio::steady_timer timer_;
  std::unique_ptr<transport::Session> session_;
};

Takeover::Takeover(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Takeover::~Takeover() = default;

Result<std::unique_ptr<Takeover>> Takeover::begin(boost::asio::any_io_executor executor,
                                                  const pki::Authority& authority,
                                                  const fs::path& folder,
                                                  transport::SessionOptions session,
                                                  const std::string& device,
                                                  std::function<void(Status)> finished) {
  std::error_code error;
  fs::remove_all(folder, error);
  fs::create_directories(folder, error);
  if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  OUTCROP_TRY(key, trust::PrivateKey::generate());
  OUTCROP_TRY(certificate,
              authority.issue({device, {}, pki::Authority::Usage::client}, key.public_key()));
  session.client_id = device;
  session.tls->certificate = folder / "client.pem";
  session.tls->key = folder / "client.key";
  session.last_retry = std::chrono::seconds(2);
  OUTCROP_CHECK(write_file_durably(session.tls->certificate, certificate));
  OUTCROP_CHECK(key.write_pem(session.tls->key));
  auto impl = std::make_shared<Impl>(std::move(executor), std::move(session), folder, device,
                                     std::move(finished));
  impl->begin();
  return std::unique_ptr<Takeover>(new Takeover(std::move(impl)));
}

}  // namespace outcrop::fleet
