#include "agent/telemetry/picture_teller.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string>

#include <spdlog/spdlog.h>
#include <boost/asio/steady_timer.hpp>

#include "agent/report/next_header.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

// A host that keeps a picture acknowledges it within seconds.
constexpr std::chrono::minutes said_again_after{5};
constexpr int most_repeats = 12;

struct Waiting {
  messages::MessageId id;
  std::string envelope;
  int repeats = 0;
};

}  // namespace

class PictureTeller::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, const Board& board) : timer_(std::move(executor)), board_(board) {}

  void send() {
    if (!waiting_ || session_ == nullptr || !session_->connected()) return;  // after the next connect
    session_->publish({transport::topics::up(board_.device, "picture"), waiting_->envelope, false},
                      transport::Delivery::at_least_once, [](const Status& sent) {
                        if (sent || sent.error().code() == ErrorCode::io) return;
                        spdlog::warn("the broker takes no picture of this board: {}", sent.error().message());
                      });
    timer_.expires_after(said_again_after);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || !self->waiting_) return;
      if (++self->waiting_->repeats >= most_repeats) return self->waiting_.reset();
      self->send();
    });
  }

  asio::steady_timer timer_;
  Board board_;
  transport::Session* session_ = nullptr;
  std::optional<Waiting> waiting_;
};

PictureTeller::PictureTeller(asio::any_io_executor executor, const Board& board)
    : impl_(std::make_shared<Impl>(std::move(executor), board)) {}

PictureTeller::~PictureTeller() {
  stop();
}

void PictureTeller::speak_through(transport::Session& session) {
  impl_->session_ = &session;
}

void PictureTeller::tell(messages::Picture picture) {
  const Board& board = impl_->board_;
  picture.header = next_header(board.device, board.outbox, board.metadata, picture.header.protocol);
  impl_->waiting_ = Waiting{{picture.header.session, picture.header.sequence},
                            trust::sign_envelope(messages::picture_kind, as_bytes(messages::to_json(picture)),
                                                 std::span(&board.key, 1))};
  impl_->send();
}

void PictureTeller::on_connected() {
  impl_->send();
}

void PictureTeller::on_acknowledged(const messages::Acknowledgement& acknowledgement) {
  const auto& ids = acknowledgement.reports;
  if (!impl_->waiting_ || std::find(ids.begin(), ids.end(), impl_->waiting_->id) == ids.end()) return;
  impl_->waiting_.reset();
  impl_->timer_.cancel();
}

void PictureTeller::stop() {
  impl_->waiting_.reset();
  impl_->timer_.cancel();
}

}  // namespace outcrop::agent
