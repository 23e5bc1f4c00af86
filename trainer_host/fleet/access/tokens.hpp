#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::fleet {

// What somebody may do: look; steer rollouts, too; everything.
enum class Role { viewer, fleet_operator, admin };
[[nodiscard]] std::string_view to_string(Role role);  // "operator"
[[nodiscard]] std::optional<Role> role_from(std::string_view text);

struct Token {
  std::string name;
  Role role = Role::viewer;
  trust::Sha256Digest hash;  // of the secret, which has 256 random bits: no slow hash is needed
  Timestamp made;
};

// Who may come by TCP. The file holds hashes only; the secret is shown once, when it is made. One thread adds and removes, any
// may ask who has a secret.
class Tokens {
 public:
  // An empty list where there is no file; invalid_data, with what is wrong, for one that is none.
  [[nodiscard]] static Result<Tokens> open(std::filesystem::path file);

  // The secret: "oct_" and 64 hexadecimal digits. already_exists, invalid_argument (a name is 1 to 63 letters,
  // digits, '.', '_' and '-').
  [[nodiscard]] Result<std::string> add(const std::string& name, Role role, Timestamp now);
  [[nodiscard]] Status remove(const std::string& name);  // not_found
  [[nodiscard]] std::vector<Token> all() const;
  // None where nobody has that secret.
  [[nodiscard]] std::optional<Token> of(std::string_view secret) const;

 private:
  explicit Tokens(std::filesystem::path file) : file_(std::move(file)) {}
  [[nodiscard]] Status save(std::vector<Token> tokens);

  std::filesystem::path file_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();  // of tokens_, where the one thread writes or another reads
  std::vector<Token> tokens_;  // by time of making
};

}  // namespace outcrop::fleet
