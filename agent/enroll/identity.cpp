#include "agent/enroll/identity.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "protocol/base/durable_file.hpp"
#include "protocol/messages/names.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/enrolment_token.hpp"
#include "protocol/trust/trusted_roles.hpp"

namespace outcrop::agent {
namespace fs = std::filesystem;
namespace {

constexpr const char* how_to_enrol =
    "on the host run `outcrop device enroll NAME`, then here `outcrop-agent enroll request --token "
    "TOKEN`";

fs::path folder_of(const fs::path& state) {
  return state / "identity";
}

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Error::from_errno("making the folder " + folder.string()));
  }
  return sync_folder(folder.parent_path());
}

// The board's key: made once, kept through every later enrolment.
Result<trust::PrivateKey> own_key(const fs::path& folder) {
  const fs::path file = folder / "device.key";
  std::error_code error;
  if (!fs::exists(file, error)) {
    OUTCROP_TRY(made, trust::PrivateKey::generate());
    const Status written = made.write_pem(file);
    // Two calls at once: the key of the first is the board's.
    if (!written && written.error().code() != ErrorCode::already_exists) {
      return fail(written.error());
    }
    OUTCROP_CHECK(sync_folder(folder));
  }
  return trust::PrivateKey::read_pem(file);
}

// Whether the bundle can be this board's identity. Its root pins what the board will believe, so a
// bundle that does not fit is refused here, where a person reads why.
Status check_bundle(const messages::EnrolmentBundle& bundle, const trust::PublicKey& key) {
  auto certificate = trust::read_certificate(bundle.certificate);
  if (!certificate) return fail(certificate.error().context("enrolment.certificate"));
  if (certificate->key != key) {
    return fail(ErrorCode::untrusted,
                "the enrolment is for another board's key: this board's request was not the one "
                "that was signed");
  }
  if (certificate->common_name != bundle.device || !messages::is_name(bundle.device)) {
    return fail(ErrorCode::untrusted, "the certificate names '" + certificate->common_name +
                                          "', the enrolment '" + bundle.device + "'");
  }
  auto authority = trust::read_certificate(bundle.broker_authority);
  if (!authority) return fail(authority.error().context("enrolment.broker_authority"));
  auto root = trust::TrustedRoot::pin(bundle.root_envelope);
  if (!root) return fail(root.error().context("enrolment.root"));
  return {};
}

Status check_pinned(std::string_view what, std::string_view configured, std::string_view enrolled) {
  if (configured == enrolled) return {};
  return fail(ErrorCode::refused,
              "this board's configuration says " + std::string(what) + " '" +
                  std::string(configured) + "', the enrolment '" + std::string(enrolled) +
                  "'; correct agent.toml, or enrol it again with the right one");
}

}  // namespace

Result<Identity> Identity::read(const fs::path& state) {
  const fs::path folder = folder_of(state);
  const fs::path bundle_file = folder / "enrolment.json";
  auto text = read_text_file(bundle_file, messages::enrolment_limit);
  if (!text) {
    if (text.error().code() != ErrorCode::not_found) return fail(std::move(text).error());
    return fail(ErrorCode::not_found, "this board is not enrolled (" + bundle_file.string() +
                                          " is missing): " + how_to_enrol);
  }
  auto bundle = messages::parse_enrolment_bundle(*text);
  if (!bundle) return fail(bundle.error().context(bundle_file.string()));
  OUTCROP_TRY(key, trust::PrivateKey::read_pem(folder / "device.key"));
  if (Status status = check_bundle(*bundle, key.public_key()); !status) {
    return fail(status.error().context(bundle_file.string()));
  }
  return Identity(folder, std::move(*bundle), std::move(key));
}

Result<Identity> Identity::open(const fs::path& state) {
  OUTCROP_TRY(identity, read(state));
  // Written from the bundle again: acceptance may have been cut off after it.
  OUTCROP_CHECK(identity.write_for_tls());
  return identity;
}

Status Identity::write_for_tls() const {
  const auto keep = [](const fs::path& file, const std::string& pem) -> Status {
    const auto there = read_text_file(file);
    if (there && *there == pem) return {};
    return write_file_durably(file, pem);
  };
  OUTCROP_CHECK(keep(certificate_file(), enrolment_.certificate));
  return keep(authority_file(), enrolment_.broker_authority);
}

Result<messages::EnrolmentRequest> request_enrolment(const fs::path& state,
                                                     std::string_view token) {
  OUTCROP_TRY(parsed, trust::EnrolmentToken::parse(token));
  OUTCROP_CHECK(make_folder(folder_of(state)));
  OUTCROP_TRY(key, own_key(folder_of(state)));
  OUTCROP_TRY(request, trust::make_certificate_request(key));
  const trust::Sha256Digest mac = trust::token_mac(parsed.secret, request);
  return messages::EnrolmentRequest{parsed.id, std::move(request), mac};
}

Status accept_enrolment(const fs::path& state, const messages::EnrolmentBundle& bundle,
                        std::string_view model, std::string_view device_class) {
  const fs::path folder = folder_of(state);
  auto key = trust::PrivateKey::read_pem(folder / "device.key");
  if (!key) {
    if (key.error().code() != ErrorCode::not_found) return fail(std::move(key).error());
    return fail(ErrorCode::not_found,
                "this board has not asked to be enrolled: " + std::string(how_to_enrol));
  }
  OUTCROP_CHECK(check_bundle(bundle, key->public_key()));
  OUTCROP_CHECK(check_pinned("model", model, bundle.model));
  OUTCROP_CHECK(check_pinned("class", device_class, bundle.device_class));
  OUTCROP_CHECK(write_file_durably(folder / "enrolment.json", to_json(bundle)));
  OUTCROP_TRY(identity, Identity::open(state));
  return {};
}

}  // namespace outcrop::agent
