#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::runtime {

// One message between the runner and its parent, as in PROTOCOL.md.
struct Frame {
  nlohmann::json header;  // an object with the key "type"
  Bytes payload;

  [[nodiscard]] std::string type() const { return header.value("type", std::string{}); }
};

inline constexpr std::uint32_t maximum_frame_header = 1U << 20;
inline constexpr std::uint64_t maximum_frame_payload = 256ULL << 20;

using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline no_deadline = Deadline::max();

// One end of the socket pair. Errors: timeout past the deadline, io with "closed" where the
// other end is gone, invalid_data where it sends what is no frame. After any of these the
// channel is of no further use. One thread at a time.
class Channel {
 public:
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] Status send(const Frame& frame, Deadline deadline, int descriptor = -1);
  // For a frame to begin, the other end to be gone, or an error, which receive then says: whether it would not wait.
  [[nodiscard]] bool wait(Deadline deadline) const;
  // Descriptors that come along are dropped.
  [[nodiscard]] Result<Frame> receive(Deadline deadline);
  // Keeps the last one in `descriptor`.
  [[nodiscard]] Result<Frame> receive(Deadline deadline, UniqueFd& descriptor);

  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  [[nodiscard]] Status send_bytes(BytesView bytes, Deadline deadline);
  [[nodiscard]] Status receive_bytes(std::span<std::byte> bytes, Deadline deadline,
                                     UniqueFd* descriptor);
  [[nodiscard]] Result<Frame> receive_frame(Deadline deadline, UniqueFd* descriptor);

  UniqueFd socket_;
};

}  // namespace outcrop::runtime
