#pragma once

#include <utility>  // before Asio

#include <cstdint>
#include <list>
#include <memory>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "platform/http/server.hpp"

namespace outcrop::http {

class Room;

// A part of a server's room, given back at its end.
class Share {
 public:
  Share() = default;
  Share(std::shared_ptr<Room> room, std::uint64_t bytes) : room_(std::move(room)), bytes_(bytes) {}
  Share(Share&& other) noexcept : room_(std::move(other.room_)), bytes_(std::exchange(other.bytes_, 0)) {}
  Share& operator=(Share&& other) noexcept;
  ~Share();

  // False where there is no room for so much more; then it stays as it was.
  [[nodiscard]] bool resize(std::uint64_t bytes);

 private:
  std::shared_ptr<Room> room_;
  std::uint64_t bytes_ = 0;
};

// The bytes of bodies and answers that a server holds at a time, of all its connections together. On its executor's thread alone.
class Room : public std::enable_shared_from_this<Room> {
 public:
  // So much is nobody's share: as many connections as there are take little together, and small requests never wait.
  static constexpr std::uint64_t free_of_charge = 64 * 1024;

  Room(const boost::asio::any_io_executor& executor, const RoomOptions& options) : executor_(executor), options_(options) {}

  // Waits its turn, first come, first served; none where it did not come in time, or can never come.
  [[nodiscard]] boost::asio::awaitable<std::optional<Share>> take(std::uint64_t bytes);
  [[nodiscard]] Share nothing_yet() { return {shared_from_this(), 0}; }
  // Nobody waits any more.
  void stop();

 private:
  friend class Share;
  [[nodiscard]] bool fits(std::uint64_t bytes) const { return bytes <= options_.bytes.value() - used_; }
  void give_back(std::uint64_t bytes);
  void wake_first();

  boost::asio::any_io_executor executor_;
  RoomOptions options_;
  std::uint64_t used_ = 0;
  std::list<std::shared_ptr<boost::asio::steady_timer>> waiting_;
  bool stopped_ = false;
};

}  // namespace outcrop::http
