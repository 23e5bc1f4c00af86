#include "platform/http/room.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace outcrop::http {
namespace asio = boost::asio;
namespace {

std::uint64_t charged(std::uint64_t bytes) {
  return bytes <= Room::free_of_charge ? 0 : bytes;
}

}  // namespace

Share& Share::operator=(Share&& other) noexcept {
  std::swap(room_, other.room_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Share::~Share() {
  if (room_ && bytes_ > 0) room_->give_back(bytes_);
}

bool Share::resize(std::uint64_t bytes) {
  const std::uint64_t wanted = charged(bytes);
  if (wanted > bytes_) {
    if (!room_->fits(wanted - bytes_)) return false;
    room_->used_ += wanted - bytes_;
  } else if (wanted < bytes_) {
    room_->give_back(bytes_ - wanted);
  }
  bytes_ = wanted;
  return true;
}

asio::awaitable<std::optional<Share>> Room::take(std::uint64_t bytes) {
  const std::uint64_t wanted = charged(bytes);
  if (wanted == 0) co_return nothing_yet();
  if (wanted > options_.bytes.value()) co_return std::nullopt;
  if (!waiting_.empty() || !fits(wanted)) {
    const auto turn = std::make_shared<asio::steady_timer>(executor_, options_.patience);
    const auto place = waiting_.insert(waiting_.end(), turn);
    bool in_time = true;
    while (in_time && !stopped_ && (place != waiting_.begin() || !fits(wanted))) {
      boost::system::error_code woken;
      co_await turn->async_wait(asio::redirect_error(asio::use_awaitable, woken));
      in_time = turn->expiry() > std::chrono::steady_clock::now();
    }
    waiting_.erase(place);
    if (!in_time || stopped_) {
      wake_first();
      co_return std::nullopt;
    }
  }
  used_ += wanted;
  wake_first();
  co_return Share(shared_from_this(), wanted);
}

void Room::stop() {
  stopped_ = true;
  for (const auto& turn : waiting_) turn->cancel();
}

void Room::give_back(std::uint64_t bytes) {
  used_ -= bytes;
  wake_first();
}

void Room::wake_first() {
  if (!stopped_ && !waiting_.empty()) waiting_.front()->cancel();
}

}  // namespace outcrop::http
