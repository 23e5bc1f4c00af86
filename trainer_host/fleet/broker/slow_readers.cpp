#include "trainer_host/fleet/broker/slow_readers.hpp"

#include "protocol/base/number.hpp"

namespace outcrop::fleet {

Status SlowReaders::on_heap(std::string_view text, Time now) {
  const auto bytes = read_number<std::uint64_t>(std::string(text));
  if (!bytes || ByteCount(*bytes) <= too_much || (last_ && now - *last_ < pause)) return {};
  const auto board = heaviest_();
  if (!board) return {};
  last_ = now;
  disconnect_(*board);
  return fail(ErrorCode::refused, "the broker holds " + ByteCount(*bytes).human() + ": '" + *board +
                                      "', which was sent most and perhaps reads nothing, was disconnected; where that goes on, revoke it");
}

}  // namespace outcrop::fleet
