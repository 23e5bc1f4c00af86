#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/transport/session.hpp"

namespace outcrop::bench::mqtt {

// The packets of MQTT v5 (OASIS, 2019) that a board needs, as bytes. Paho has one thread and one lock for all its
// clients of a process, and would be measured instead of the host that ten thousand of them speak to.

struct Connect {
  std::string client_id;
  std::chrono::seconds keep_alive{};
  transport::Message will;  // at least once
};

[[nodiscard]] std::string connect(const Connect& what);
[[nodiscard]] std::string subscribe(std::uint16_t id, const std::vector<std::string>& filters);  // at least once
[[nodiscard]] std::string publish(std::uint16_t id, const transport::Message& message);          // at least once
[[nodiscard]] std::string publish_at_most_once(const transport::Message& message);
[[nodiscard]] std::string acknowledge(std::uint16_t id);
[[nodiscard]] std::string ping();

struct Connected {
  std::uint8_t reason = 0;  // 0: well
};
struct Subscribed {};
struct Published {  // ours has come
  std::uint16_t id = 0;
};
struct Message {
  std::uint16_t id = 0;  // 0: wants no acknowledgement
  std::string_view topic;
  std::string_view payload;
};
struct Disconnected {
  std::uint8_t reason = 0;
};
struct Other {};
struct Malformed {};
using Packet = std::variant<Connected, Subscribed, Published, Message, Disconnected, Other, Malformed>;

// The first packet of `bytes`, which it points into, and its length; none where it is not whole yet.
struct Taken {
  Packet packet;
  std::size_t size = 0;
};
[[nodiscard]] std::optional<Taken> take(std::string_view bytes);

}  // namespace outcrop::bench::mqtt
