#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/enroll/moved_broker.hpp"
#include "agent/enroll/next_identity.hpp"
#include "agent/state/kept_twice.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/enrolment.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::agent {

// Who this board is: <state>/identity/
//   device.key         Ed25519, born here, mode 0600; TLS identity and signature of reports
//   enrolment.json     the bundle as it came
//   answer.key         what the host's answer to the last request is proved by, until it is accepted, mode 0600
//   certificate.pem    out of it, for the TLS library
//   authority.pem
//   next/              what is to take the place of key and certificate
//   broker.json        what it was told of its broker's place (moved_broker.hpp)
// The first two are kept twice.
class Identity {
 public:
  // not_found, saying how to enrol, where there is none; refused where its disk is not mounted;
  // untrusted where key and certificate differ, or others may use the key. A damaged file is mended
  // from its spare; invalid_data, saying how to enrol anew, where one is lost with its spare.
  [[nodiscard]] static Result<Identity> open(const std::filesystem::path& state);
  // The same, and writes nothing: the files for the TLS library may be missing.
  [[nodiscard]] static Result<Identity> read(const std::filesystem::path& state);

  // What is wrong with its files.
  [[nodiscard]] std::optional<std::string> trouble() const;

  [[nodiscard]] const messages::EnrolmentBundle& enrolment() const { return enrolment_; }
  [[nodiscard]] const std::string& device() const { return enrolment_.device; }
  [[nodiscard]] const trust::PrivateKey& key() const { return key_; }
  // What it connects by: a new certificate that is on trial (next_identity.hpp), else its own.
  [[nodiscard]] std::filesystem::path key_file() const { return next().on_trial() ? next().key_file() : *key_copy_.copy; }
  [[nodiscard]] std::filesystem::path certificate_file() const {
    return next().on_trial() ? next().certificate_file() : own_certificate_file();
  }
  [[nodiscard]] NextIdentity next() const { return NextIdentity(folder_.parent_path()); }
  // Key and certificate took the place of others when it was opened.
  [[nodiscard]] bool renewed() const { return renewed_; }
  // Where its broker is, and where it is said to be: that is tried, once by each start (open() counts them).
  [[nodiscard]] BrokerPlace broker() const { return {enrolment_.broker_host, enrolment_.broker_port, enrolment_.broker_authority}; }
  [[nodiscard]] const std::optional<BrokerPlace>& next_broker() const { return next_broker_; }
  // Its broker is there from now on: the next open() says so.
  [[nodiscard]] Status keep_broker(const BrokerPlace& place) const;
  // Of the broker that it is to connect to.
  [[nodiscard]] std::filesystem::path authority_file() const {
    return next_broker_ ? moved_broker().next_authority() : folder_ / "authority.pem";
  }

 private:
  Identity(std::filesystem::path folder, messages::EnrolmentBundle enrolment, trust::PrivateKey key)
      : folder_(std::move(folder)), enrolment_(std::move(enrolment)), key_(std::move(key)) {}
  [[nodiscard]] std::filesystem::path own_certificate_file() const { return folder_ / "certificate.pem"; }
  [[nodiscard]] MovedBroker moved_broker() const { return MovedBroker(folder_.parent_path()); }
  [[nodiscard]] Status write_for_tls() const;
  [[nodiscard]] Status move_next() const;

  std::filesystem::path folder_;
  KeptTwice::Reading bundle_;
  KeptTwice::Reading key_copy_;
  std::optional<std::string> unwritten_;
  bool renewed_ = false;
  std::optional<BrokerPlace> next_broker_;
  messages::EnrolmentBundle enrolment_;
  trust::PrivateKey key_;
};

// Makes the key where there is none yet, or where it is lost, and returns the request for the host.
// `token` is what `outcrop device enroll` printed. `unproved`: for a host of before answers were proved.
// invalid_argument where it is no token.
[[nodiscard]] Result<messages::EnrolmentRequest> request_enrolment(
    const std::filesystem::path& state, std::string_view token, bool unproved = false);

// Takes the host's answer: it must be proved by the token of the last request, unless `unproved` says that a host of
// before protocol 6 gave it; the certificate must be for our key and name the device; model and class must be those
// of the configuration. Replaces an earlier identity of the same key.
[[nodiscard]] Status accept_enrolment(const std::filesystem::path& state,
                                      const messages::EnrolmentBundle& bundle,
                                      std::string_view model, std::string_view device_class,
                                      bool unproved = false);

}  // namespace outcrop::agent
