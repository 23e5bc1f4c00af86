#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::agent {

// What is to take the place of a board's key and certificate: <state>/identity/next/
//   device.key        made here, as the first was
//   certificate.pem   of it. From here on the board connects by these two, and signs by the key it had
//   known             the host knows it: from here on it is the board's, and Identity::open moves it there
// Each is written before what follows from it, so that whoever is killed anywhere goes on there.
class NextIdentity {
 public:
  explicit NextIdentity(const std::filesystem::path& state) : folder_(state / "identity" / "next") {}

  // Makes the key; one that is there stays. What else lies there of one that was damaged goes.
  [[nodiscard]] Status begin() const;
  // None where none was begun, or it cannot be read.
  [[nodiscard]] std::optional<trust::PrivateKey> key() const;
  // None where there is none for that key.
  [[nodiscard]] std::optional<std::string> certificate() const;
  [[nodiscard]] bool is_known() const;
  // The board is to connect by it, and the host has not said that it knows it.
  [[nodiscard]] bool on_trial() const { return certificate().has_value() && !is_known(); }

  // refused where nothing was begun or it is on trial, untrusted where it is for another key or another board.
  [[nodiscard]] Status take(std::string_view certificate, std::string_view device) const;
  // Nobody lets the board in by it: the key stays, and may be certified again.
  [[nodiscard]] Status give_up() const;
  [[nodiscard]] Status become_known() const;
  // All of it goes: what was known lies where it belongs.
  [[nodiscard]] Status clear() const;

  [[nodiscard]] std::filesystem::path key_file() const { return folder_ / "device.key"; }
  [[nodiscard]] std::filesystem::path certificate_file() const { return folder_ / "certificate.pem"; }

 private:
  [[nodiscard]] std::filesystem::path mark() const { return folder_ / "known"; }
  [[nodiscard]] Status remove(const std::filesystem::path& file) const;

  std::filesystem::path folder_;
};

}  // namespace outcrop::agent
