#include "agent/doctor/running.hpp"

#include <nlohmann/json.hpp>

#include "platform/http/client.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::agent {

Finding check_running(const std::filesystem::path& socket, const ClockReading& clock) {
  const auto answer = http::call_ok(socket, {.target = "/v1/status", .deadline = std::chrono::seconds(5)});
  if (!answer) {
    return {"agent", Verdict::unknown, "none answers at " + socket.string() + ": " + answer.error().message(), {}};
  }
  const auto json = nlohmann::json::parse(answer->body, nullptr, /*allow_exceptions=*/false);
  const auto text = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "?";
  };
  const std::string runs = text("agent") + " runs";
  if (text("clock") == "floor" && clock.synchronised) {
    return {"agent", Verdict::fail,
            runs + ", and cannot see that the clock is kept right: metadata expires late there, or never",
            "restart it, if the clock was set just now; else its unit hides the clock: take the "
            "outcrop-agent.service of this version, and no ProtectClock= beside it"};
  }
  return {"agent", Verdict::ok, runs + ", clock " + text("clock"), {}};
}

}  // namespace outcrop::agent
