#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "agent/state/kept_twice.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::agent {

struct BrokerPlace {
  std::string host;
  std::uint16_t port = 1;
  std::string authority;  // PEM
  bool operator==(const BrokerPlace&) const = default;
};

// What a board was told of its broker's place since it was enrolled: <state>/identity/broker.json, kept twice, and for the TLS library
// next-authority.pem. Where the broker is, is in the enrolment: a place that was tried and is kept is written there.
class MovedBroker {
 public:
  // Starts of the agent that try a place.
  static constexpr std::uint64_t most_starts = 3;

  struct Told {
    std::uint64_t number = 0;            // the highest that was taken; 0: none
    trust::Sha256Digest counted_under;   // whose numbers these are
    std::optional<BrokerPlace> next;     // to be tried, or on trial
    std::uint64_t starts = 0;            // ... by so many starts
    std::string not_kept;                // what became of the place before, where nobody let the board in there
  };

  explicit MovedBroker(const std::filesystem::path& state) : folder_(state / "identity"), document_(folder_ / "broker.json") {}

  // What is lost is as if nothing had been told: the enrolment says where the broker is. Errors: io, unsupported.
  [[nodiscard]] Result<Told> read() const;
  [[nodiscard]] Status write(const Told& told) const;
  // Of a board that is enrolled anew.
  [[nodiscard]] Status forget() const;

  // The place that this start of the agent is to try, counted; its authority is in next_authority(). None where there is none, where it
  // was tried often enough, or where that could not be written down.
  [[nodiscard]] std::optional<BrokerPlace> begin_trial(const BrokerPlace& present) const;
  // The place is no longer tried, and why.
  [[nodiscard]] Status give_up(const std::string& why) const;
  // ... since the enrolment says it now.
  [[nodiscard]] Status kept() const;

  [[nodiscard]] std::filesystem::path next_authority() const { return folder_ / "next-authority.pem"; }

 private:
  [[nodiscard]] Status end_trial(const std::string& not_kept) const;

  std::filesystem::path folder_;
  KeptTwice document_;
};

}  // namespace outcrop::agent
