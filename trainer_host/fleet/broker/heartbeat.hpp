#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/any_io_executor.hpp>

#include "protocol/transport/session.hpp"

namespace outcrop::fleet {

// Notices a broker that takes connections and answers nothing (it hangs, its disk does): hands it a
// message now and then that it must acknowledge. One that works is not taken for one that hangs before patience has ended twenty
// times: where ten thousand boards come back at once it is at their handshakes for a minute, and a new one would begin them again.
// On the session's executor.
class Heartbeat {
 public:
  struct Times {
    std::chrono::milliseconds every{10'000};
    // Since its last answer. Doubled each time that nothing came of it, up to twenty times as long:
    // a broker that answers boards but not this session is not to be restarted for ever.
    std::chrono::milliseconds patience{30'000};
  };
  // Asks three times while it is patient.
  [[nodiscard]] static Times of(std::chrono::milliseconds patience) {
    return {patience / 3, patience};
  }
  // The processor time that the broker has had; none: nobody knows.
  using Worked = std::function<std::optional<std::chrono::nanoseconds>()>;

  // `silent` is called when patience ends, and counting begins anew.
  Heartbeat(boost::asio::any_io_executor executor, transport::Session& session, Times times,
            std::function<void(std::chrono::milliseconds silence)> silent, Worked worked = [] { return std::nullopt; });
  ~Heartbeat();

  // A message came from it: it is not silent, though an acknowledgement may have found no room among too many messages.
  void heard();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::fleet
