#include "trainer_host/cli/host_connection.hpp"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "platform/http/client.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

constexpr const char* default_socket = "/run/outcrop/outcropd.sock";
constexpr const char* readers_socket = "/run/outcrop/readers.sock";
// Publishing verifies every blob of a release, and a slow disk may be at work.
constexpr std::chrono::minutes longest_answer{5};
constexpr std::chrono::seconds longest_reading{2};
constexpr std::chrono::milliseconds between_looks{50};

fs::path chosen_socket(const fs::path& named) {
  if (!named.empty()) return named;
  const char* const variable = std::getenv("OUTCROP_SOCKET");
  if (variable != nullptr && *variable != '\0') return variable;
  // Who may not rule may still look.
  const bool reads_only = ::access(default_socket, W_OK) != 0 && ::access(readers_socket, W_OK) == 0;
  return reads_only ? readers_socket : default_socket;
}

// By which outcropd knows a request that is made again since its answer was lost.
std::string new_key() {
  std::random_device random;
  std::string key;
  while (key.size() < 32) {
    std::array<char, 16> word{};
    std::snprintf(word.data(), word.size(), "%08x", random());
    key += word.data();
  }
  return key;
}

// The socket is the only thing a person can mend: say how.
Error explain(const Error& error, const fs::path& socket) {
  const std::string name = socket.string();
  switch (error.code()) {
    case ErrorCode::not_found:
      return {ErrorCode::not_found,
              "outcropd is not running: there is no socket " + name +
                  ". Start it (systemctl start outcropd, or outcropd --config host.toml), or name "
                  "its socket with --host or OUTCROP_SOCKET"};
    case ErrorCode::refused:
      return {ErrorCode::refused,
              "you may not use the socket " + name +
                  ": it belongs to outcropd's user and group (usually 'outcrop'). Join the group "
                  "(sudo usermod -aG outcrop $USER, then log in anew; outcrop-readers is to look only)"};
    case ErrorCode::timeout:
      return error.context("outcropd is there but does not answer");
    default:
      return {error.code(), "outcropd does not answer on " + name + " (" + error.message() +
                                "); is it running? systemctl status outcropd"};
  }
}

}  // namespace

void add_host_option(CLI::App& verb, fs::path& socket) {
  verb.add_option("--host", socket,
                  "Socket of outcropd; default: $OUTCROP_SOCKET, else /run/outcrop/outcropd.sock")
      ->type_name("SOCKET");
}

HostConnection::HostConnection(const fs::path& socket) : socket_(chosen_socket(socket)) {}

Result<Json> HostConnection::get(const std::string& target) const {
  return ask("GET", target, "", "");
}

Result<Json> HostConnection::get_all(const std::string& target, const std::string& list, const std::string& words) const {
  Json all{{list, Json::array()}};
  std::string after;
  bool reads_on = false;
  const auto until = std::chrono::steady_clock::now() + longest_reading;
  do {
    if (reads_on) std::this_thread::sleep_for(between_looks);
    OUTCROP_TRY(page, get(target + "?limit=1000" + (words.empty() ? "" : "&" + words) +
                          (after.empty() ? "" : "&after=" + http::encode(after))));
    OUTCROP_CHECK(reading_answers([&]() -> Status {
      // Just after its start outcropd has not looked at every board yet.
      reads_on = after.empty() && page.value("unread", 0) > 0 && std::chrono::steady_clock::now() < until;
      if (reads_on) return {};
      for (Json& one : page.at(list)) all[list].push_back(std::move(one));
      const Json next = page.value("after", Json(nullptr));
      after = next.is_null() ? "" : next.get<std::string>();
      return {};
    }));
  } while (reads_on || !after.empty());
  return all;
}

Result<Json> HostConnection::post(const std::string& target, const Json& body) const {
  return ask("POST", target, "application/json", json_text(body));
}

Result<Json> HostConnection::remove(const std::string& target) const {
  return ask("DELETE", target, "", "");
}

Result<Json> HostConnection::put(const std::string& target, std::string bytes) const {
  return ask("PUT", target, "application/octet-stream", std::move(bytes));
}

Result<std::string> HostConnection::get_bytes(const std::string& target) const {
  return reach("GET", target, "", "");
}

Result<std::string> HostConnection::reach(const std::string& method, const std::string& target,
                                          const std::string& content_type, std::string body) const {
  // Whether outcropd was reached is told by call(), what it thinks by call_ok()'s error.
  const http::Call request{method, target, content_type, std::move(body), longest_answer,
                           method == "POST" ? new_key() : std::string()};
  auto reached = http::call(socket_, request);
  if (!reached) return fail(explain(reached.error(), socket_));
  OUTCROP_TRY(answer, http::checked(std::move(*reached), request));
  return std::move(answer.body);
}

Result<Json> HostConnection::ask(const std::string& method, const std::string& target,
                                 const std::string& content_type, std::string body) const {
  OUTCROP_TRY(answer, reach(method, target, content_type, std::move(body)));
  if (answer.empty()) return Json::object();
  Json json = Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return fail(ErrorCode::invalid_data, method + " " + target + " on " + socket_.string() +
                                             " was not answered in JSON; is that outcropd?");
  }
  return json;
}

void print_json(const Json& answer) {
  std::printf("%s\n", json_text(answer, 2).c_str());
}

Status reading_answers(const std::function<Status()>& work) {
  try {
    return work();
  } catch (const Json::exception& error) {
    return fail(ErrorCode::invalid_data, "outcropd's answer is not what this outcrop expects (" +
                                             std::string(error.what()) +
                                             "); are both of the same version?");
  }
}

}  // namespace outcrop::cli
