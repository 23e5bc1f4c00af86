#include "bench/fleet/mqtt_packets.hpp"

namespace outcrop::bench::mqtt {
namespace {

constexpr std::size_t longest_length = 4;  // bytes of a variable byte integer

enum Kind : unsigned {
  connack = 2,
  publish_kind = 3,
  puback = 4,
  suback = 9,
  disconnect = 14,
};

void add_number(std::string& to, std::size_t value) {
  to += static_cast<char>(value >> 8 & 0xFF);
  to += static_cast<char>(value & 0xFF);
}

void add_text(std::string& to, std::string_view text) {
  add_number(to, text.size());
  to += text;
}

void add_length(std::string& to, std::size_t value) {
  do {
    const std::size_t rest = value >> 7;
    to += static_cast<char>((value & 0x7F) | (rest != 0 ? 0x80 : 0));
    value = rest;
  } while (value != 0);
}

std::string packet(unsigned first, const std::string& rest) {
  std::string bytes(1, static_cast<char>(first));
  add_length(bytes, rest.size());
  return bytes + rest;
}

// Reads what is left of a packet; after the first thing that is not there all of it is empty.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::string_view bytes(std::size_t count) {
    if (count > bytes_.size()) {
      good_ = false;
      bytes_ = {};
      return {};
    }
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  std::size_t number(std::size_t count) {
    std::size_t value = 0;
    for (const char c : bytes(count)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::size_t length() {
    std::size_t value = 0;
    for (std::size_t i = 0; i < longest_length; ++i) {
      const std::size_t byte = number(1);
      value |= (byte & 0x7F) << (7 * i);
      if ((byte & 0x80) == 0) return value;
    }
    good_ = false;
    return 0;
  }
  [[nodiscard]] std::string_view rest() const { return bytes_; }
  [[nodiscard]] bool good() const { return good_; }

 private:
  std::string_view bytes_;
  bool good_ = true;
};

Packet read_publish(unsigned flags, Reader reader) {
  Message message;
  message.topic = reader.bytes(reader.number(2));
  if ((flags >> 1 & 3) != 0) message.id = static_cast<std::uint16_t>(reader.number(2));
  (void)reader.bytes(reader.length());  // properties
  message.payload = reader.rest();
  if (!reader.good()) return Malformed{};
  return message;
}

Packet read(unsigned first, std::string_view rest) {
  Reader reader(rest);
  switch (first >> 4) {
    case connack:
      (void)reader.number(1);
      return Connected{static_cast<std::uint8_t>(reader.number(1))};
    case publish_kind:
      return read_publish(first & 15, reader);
    case puback:
      return Published{static_cast<std::uint16_t>(reader.number(2))};
    case suback:
      return Subscribed{};
    case disconnect:
      return Disconnected{static_cast<std::uint8_t>(rest.empty() ? 0 : reader.number(1))};
    default:
      return Other{};
  }
}

}  // namespace

std::string connect(const Connect& what) {
  constexpr unsigned clean_start = 0x02, will = 0x04, will_at_least_once = 0x08, will_retained = 0x20;
  std::string rest;
  add_text(rest, "MQTT");
  rest += '\5';
  rest += static_cast<char>(clean_start | will | will_at_least_once | (what.will.retained ? will_retained : 0));
  add_number(rest, static_cast<std::size_t>(what.keep_alive.count()));
  rest += '\0';  // no properties
  add_text(rest, what.client_id);
  rest += '\0';  // none of the will
  add_text(rest, what.will.topic);
  add_text(rest, what.will.payload);
  return packet(0x10, rest);
}

std::string subscribe(std::uint16_t id, const std::vector<std::string>& filters) {
  std::string rest;
  add_number(rest, id);
  rest += '\0';
  for (const std::string& filter : filters) {
    add_text(rest, filter);
    rest += '\1';
  }
  return packet(0x82, rest);
}

std::string publish(std::uint16_t id, const transport::Message& message) {
  std::string rest;
  add_text(rest, message.topic);
  add_number(rest, id);
  rest += '\0';
  return packet(0x32 | (message.retained ? 1 : 0), rest + message.payload);
}

std::string publish_at_most_once(const transport::Message& message) {
  std::string rest;
  add_text(rest, message.topic);
  rest += '\0';
  return packet(0x30 | (message.retained ? 1 : 0), rest + message.payload);
}

std::string acknowledge(std::uint16_t id) {
  std::string rest;
  add_number(rest, id);
  return packet(0x40, rest);
}

std::string ping() {
  return packet(0xC0, "");
}

std::optional<Taken> take(std::string_view bytes) {
  if (bytes.size() < 2) return std::nullopt;
  std::size_t length = 0;
  std::size_t at = 1;
  for (unsigned shift = 0;; shift += 7, ++at) {
    if (at > longest_length) return Taken{Malformed{}, bytes.size()};
    if (at == bytes.size()) return std::nullopt;
    const auto byte = static_cast<unsigned char>(bytes[at]);
    length |= static_cast<std::size_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) break;
  }
  ++at;
  if (bytes.size() - at < length) return std::nullopt;
  return Taken{read(static_cast<unsigned char>(bytes[0]), bytes.substr(at, length)), at + length};
}

}  // namespace outcrop::bench::mqtt
