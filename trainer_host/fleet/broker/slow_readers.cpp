#include "trainer_host/fleet/broker/slow_readers.hpp"

#include "protocol/base/number.hpp"

namespace outcrop::fleet {

Status SlowReaders::on_heap(std::string_view text, Time now) {
  const auto bytes = read_number<std::uint64_t>(std::string(text));
  if (!bytes || ByteCount(*bytes) <= too_much || (last_ && now - *last_ < pause)) return {};
  last_ = now;
  const auto sent = sent_();
  const std::string holds = "the broker holds " + ByteCount(*bytes).human();
  if (!sent || sent->to_it < least || sent->to_all.value() < *bytes / 2) {
    return fail(ErrorCode::refused, holds + ", which is not what waits for boards that read nothing: subscriptions without end, perhaps, or what "
                                            "strangers connect for. From 1 GiB on it takes nothing more; whoever it is goes when its certificate is revoked");
  }
  disconnect_(sent->most);
  return fail(ErrorCode::refused, holds + ": '" + sent->most + "', which was sent most (" + sent->to_it.human() +
                                      ") and perhaps reads nothing, was disconnected; where that goes on, revoke it");
}

}  // namespace outcrop::fleet
