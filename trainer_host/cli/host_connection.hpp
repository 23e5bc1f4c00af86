#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "protocol/base/error.hpp"

namespace outcrop::cli {

using Json = nlohmann::json;

// --host SOCKET for every verb that speaks to outcropd; default $OUTCROP_SOCKET, else
// /run/outcrop/outcropd.sock.
void add_host_option(CLI::App& verb, std::filesystem::path& socket);

// How verbs speak to outcropd: requests over its Unix socket, answers in JSON. What is posted has a key, and is posted
// again where outcropd is started anew before it has answered: it has its effect once.
class HostConnection {
 public:
  // `socket` as add_host_option left it; empty: the default.
  explicit HostConnection(const std::filesystem::path& socket);

  // Errors: what outcropd answered; where it cannot be reached, what to do about it.
  [[nodiscard]] Result<Json> get(const std::string& target) const;
  // All of a list that comes in pages: {list: [...]}. `words` of a query, "class=pi&tag=lab"; "": none.
  [[nodiscard]] Result<Json> get_all(const std::string& target, const std::string& list, const std::string& words = "") const;
  // What is no JSON: a picture.
  [[nodiscard]] Result<std::string> get_bytes(const std::string& target) const;
  [[nodiscard]] Result<Json> post(const std::string& target,
                                  const Json& body = Json::object()) const;
  [[nodiscard]] Result<Json> remove(const std::string& target) const;
  [[nodiscard]] Result<Json> put(const std::string& target, std::string bytes) const;

 private:
  Result<std::string> reach(const std::string& method, const std::string& target,
                            const std::string& content_type, std::string body) const;
  Result<Json> ask(const std::string& method, const std::string& target,
                   const std::string& content_type, std::string body) const;

  std::filesystem::path socket_;
};

// As outcropd says it, for other programs.
void print_json(const Json& answer);

// Runs what reads outcropd's answers: a key that is not there, or of another type, becomes an error
// that names both programs, since only different versions of them can disagree.
[[nodiscard]] Status reading_answers(const std::function<Status()>& work);

}  // namespace outcrop::cli
