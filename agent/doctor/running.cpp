#include "agent/doctor/running.hpp"

#include <nlohmann/json.hpp>

#include "platform/http/client.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::agent {

Result<std::string> ask_status(const std::filesystem::path& socket) {
  auto answer = http::call_ok(socket, {.target = "/v1/status", .deadline = std::chrono::seconds(5)});
  if (!answer) return fail(answer.error().context("none answers at " + socket.string()));
  return std::move(answer->body);
}

Finding check_running(const Result<std::string>& status, const ClockReading& clock) {
  if (!status) return {"agent", Verdict::unknown, status.error().message(), {}};
  const auto json = nlohmann::json::parse(*status, nullptr, /*allow_exceptions=*/false);
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
