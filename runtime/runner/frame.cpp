#include "runtime/runner/frame.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "protocol/base/json_text.hpp"

namespace outcrop::runtime {
namespace {

constexpr std::size_t prefix_bytes = 12;
// A payload's length is only what the other end claims: memory is taken as bytes arrive.
constexpr std::size_t receive_step = 1U << 20;

template <class T>
void put(std::span<std::byte> bytes, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
}

template <class T>
T get(std::span<const std::byte> bytes) {
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>((value << 8) | std::to_integer<T>(bytes[i]));
  }
  return value;
}

Status wait_for(int fd, short events, Deadline deadline) {
  for (;;) {
    int timeout = -1;
    if (deadline != no_deadline) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return fail(ErrorCode::timeout, "no answer in time");
      timeout = static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
    }
    pollfd request{fd, events, 0};
    const int ready = ::poll(&request, 1, timeout);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail(Error::from_errno("waiting for the socket"));
  }
}

bool try_again() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

tl::unexpected<Error> closed() {
  return fail(ErrorCode::io, "closed by the other end");
}

Status send_with_descriptor(int socket, std::byte first, int descriptor, Deadline deadline) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{&first, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
  for (;;) {
    OUTCROP_CHECK(wait_for(socket, POLLOUT, deadline));
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) return {};
    if (!try_again()) return errno == EPIPE ? Status(closed()) : fail(Error::from_errno("sending"));
  }
}

// Receives some bytes, and a descriptor where one comes along.
ssize_t receive_with_descriptor(int socket, std::span<std::byte> bytes, UniqueFd& descriptor) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count < 0) return count;
  for (cmsghdr* entry = CMSG_FIRSTHDR(&message); entry != nullptr;
       entry = CMSG_NXTHDR(&message, entry)) {
    if (entry->cmsg_level == SOL_SOCKET && entry->cmsg_type == SCM_RIGHTS) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(entry), sizeof(int));
      descriptor.reset(received);
    }
  }
  return count;
}

}  // namespace

Status Channel::send_bytes(BytesView bytes, Deadline deadline) {
  while (!bytes.empty()) {
    OUTCROP_CHECK(wait_for(fd(), POLLOUT, deadline));
    const ssize_t sent = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && try_again()) continue;
    if (sent < 0) {
      if (errno == EPIPE || errno == ECONNRESET) return closed();
      return fail(Error::from_errno("sending"));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

Status Channel::send(const Frame& frame, Deadline deadline, int descriptor) {
  const std::string header = json_text(frame.header);
  if (header.size() > maximum_frame_header || frame.payload.size() > maximum_frame_payload) {
    return fail(ErrorCode::invalid_argument, "a message larger than the runner's protocol allows");
  }
  Bytes start(prefix_bytes + header.size());
  put(std::span(start).first(4), static_cast<std::uint32_t>(header.size()));
  put(std::span(start).subspan(4, 8), static_cast<std::uint64_t>(frame.payload.size()));
  std::memcpy(start.data() + prefix_bytes, header.data(), header.size());
  BytesView rest = start;
  if (descriptor >= 0) {
    OUTCROP_CHECK(send_with_descriptor(fd(), start[0], descriptor, deadline));
    rest = rest.subspan(1);
  }
  OUTCROP_CHECK(send_bytes(rest, deadline));
  return send_bytes(frame.payload, deadline);
}

Status Channel::receive_bytes(std::span<std::byte> bytes, Deadline deadline, UniqueFd* descriptor) {
  while (!bytes.empty()) {
    OUTCROP_CHECK(wait_for(fd(), POLLIN, deadline));
    const ssize_t count = descriptor != nullptr
                              ? receive_with_descriptor(fd(), bytes, *descriptor)
                              : ::recv(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count < 0 && try_again()) continue;
    if (count == 0 || (count < 0 && errno == ECONNRESET)) return closed();
    if (count < 0) return fail(Error::from_errno("receiving"));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<Frame> Channel::receive_frame(Deadline deadline, UniqueFd* descriptor) {
  std::array<std::byte, prefix_bytes> prefix{};
  OUTCROP_CHECK(receive_bytes(prefix, deadline, descriptor));
  const auto header_bytes = get<std::uint32_t>(std::span(prefix).first(4));
  const auto payload_bytes = get<std::uint64_t>(std::span(prefix).subspan(4, 8));
  if (header_bytes == 0 || header_bytes > maximum_frame_header ||
      payload_bytes > maximum_frame_payload) {
    return fail(ErrorCode::invalid_data, "a frame of " + std::to_string(header_bytes) + " + " +
                                             std::to_string(payload_bytes) +
                                             " bytes, beyond what the protocol allows");
  }
  std::string text(header_bytes, '\0');
  OUTCROP_CHECK(receive_bytes(std::as_writable_bytes(std::span(text.data(), text.size())), deadline,
                              nullptr));
  Frame frame;
  frame.header = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto type = frame.header.is_object() ? frame.header.find("type") : frame.header.end();
  if (!frame.header.is_object() || type == frame.header.end() || !type->is_string()) {
    return fail(ErrorCode::invalid_data, "a frame whose header is not a JSON object with a type");
  }
  while (frame.payload.size() < payload_bytes) {
    const std::size_t have = frame.payload.size();
    const std::size_t step = std::min<std::uint64_t>(payload_bytes - have, receive_step);
    frame.payload.resize(have + step);
    OUTCROP_CHECK(receive_bytes(std::span(frame.payload).subspan(have), deadline, nullptr));
  }
  return frame;
}

bool Channel::wait(Deadline deadline) const {
  const Status ready = wait_for(fd(), POLLIN, deadline);
  return ready || ready.error().code() != ErrorCode::timeout;
}

Result<Frame> Channel::receive(Deadline deadline) {
  return receive_frame(deadline, nullptr);
}

Result<Frame> Channel::receive(Deadline deadline, UniqueFd& descriptor) {
  return receive_frame(deadline, &descriptor);
}

}  // namespace outcrop::runtime
