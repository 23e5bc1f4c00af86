#include "agent/enroll/identity.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <spdlog/spdlog.h>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/private_file.hpp"
#include "protocol/base/unmounted_disk.hpp"
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

// The host takes no second key under the name of a board that it believes in.
constexpr const char* how_to_enrol_anew =
    "on the host run `outcrop device revoke NAME` where the key is lost, and `outcrop device enroll "
    "NAME`, then here `outcrop-agent enroll request --token TOKEN`";

constexpr const char* bundle_name = "enrolment.json";
constexpr const char* key_name = "device.key";
constexpr const char* answer_key_name = "answer.key";

fs::path folder_of(const fs::path& state) {
  return state / "identity";
}

KeptTwice bundle_document(const fs::path& folder) {
  return KeptTwice(folder / bundle_name);
}

KeptTwice key_document(const fs::path& folder) {
  return KeptTwice(folder / key_name, 0600);
}

// Whoever forgets to mount a disk finds an empty folder in its place.
Status check_mounted(const fs::path& state) {
  const auto disk = unmounted_disk_of(state);
  if (!disk) return {};
  return fail(ErrorCode::refused, "nothing is mounted at " + disk->string() +
                                 ", where /etc/fstab says that a disk belongs and where this "
                                 "board's state lies (" +
                                 state.string() + "): mount " + disk->string());
}

tl::unexpected<Error> not_enrolled(const fs::path& state) {
  OUTCROP_CHECK(check_mounted(state));
  return fail(ErrorCode::not_found, "this board is not enrolled (" +
                                        (folder_of(state) / bundle_name).string() +
                                        " is missing): " + how_to_enrol);
}

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Error::from_errno("making the folder " + folder.string()));
  }
  return sync_folder(folder.parent_path());
}

// Neither file nor spare mean anything: what they said is gone. One that may not be read is not.
bool is_lost(const KeptTwice::Reading& reading) {
  return !reading.copy && reading.trouble && reading.trouble->code() == ErrorCode::invalid_data;
}

tl::unexpected<Error> lost(const std::string& what) {
  return fail(ErrorCode::invalid_data,
              what + "; this board has lost its identity and needs a new one: " + how_to_enrol_anew);
}

struct KeptKey {
  std::optional<trust::PrivateKey> key;  // none: none was made yet, or it is lost
  KeptTwice::Reading reading;
};

// Fails where there is a key and it cannot be used, `untrusted` where others may use it: that is no
// damage, and somebody must look at it.
Result<KeptKey> read_key(const fs::path& folder) {
  KeptKey kept;
  Status exposed;
  OUTCROP_TRY(reading, key_document(folder).read([&](const fs::path& copy) -> Status {
    auto key = trust::PrivateKey::read_pem(copy);
    if (!key && key.error().code() == ErrorCode::untrusted) exposed = fail(key.error());
    if (!key) return fail(std::move(key).error());
    kept.key = std::move(*key);
    return {};
  }));
  OUTCROP_CHECK(exposed);
  if (!kept.key && reading.trouble && !is_lost(reading)) return fail(*reading.trouble);
  kept.reading = std::move(reading);
  return kept;
}

// The board's key: made once, kept through every later enrolment unless it is lost.
Result<trust::PrivateKey> own_key(const fs::path& folder) {
  OUTCROP_TRY(kept, read_key(folder));
  if (!kept.key) {
    key_document(folder).heal(kept.reading);  // what is left of a lost one makes room
    OUTCROP_TRY(made, trust::PrivateKey::generate());
    const Status written = made.write_pem(folder / key_name);
    // Two calls at once: the key of the first is the board's.
    if (!written && written.error().code() != ErrorCode::already_exists) {
      return fail(written.error());
    }
    OUTCROP_CHECK(sync_folder(folder));
    kept.reading.copy = folder / key_name;
  }
  key_document(folder).heal(kept.reading);
  return trust::PrivateKey::read_pem(folder / key_name);
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

// That whoever granted the token gave this answer: a root in it is believed from then on.
Status check_proof(const fs::path& folder, const messages::EnrolmentBundle& bundle) {
  if (bundle.protocol < messages::enrolment_proved_since) {
    return fail(ErrorCode::untrusted,
                "nothing proves that this is the host's answer, as before protocol 6: update the host, or ask and accept with --unproved");
  }
  const auto text = read_text_file(folder / answer_key_name);
  const Result<trust::Sha256Digest> key = text ? trust::Sha256Digest::from_hex(*text) : fail(text.error());
  if (!key) {
    return fail(ErrorCode::not_found, "this board does not know any more by which token it asked to be enrolled: " + std::string(how_to_enrol));
  }
  if (trust::equal_macs(trust::token_mac(key->hex(), unproved_text(bundle)), bundle.mac)) return {};
  return fail(ErrorCode::untrusted,
              "this is not the answer to this board's last request, or it was changed on the way: " + std::string(how_to_enrol));
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
  std::optional<messages::EnrolmentBundle> bundle;
  OUTCROP_TRY(read_bundle, bundle_document(folder).read([&](const fs::path& copy) -> Status {
    OUTCROP_TRY(text, read_text_file(copy, messages::enrolment_limit));
    auto parsed = messages::parse_enrolment_bundle(text);
    if (!parsed) return fail(parsed.error().context(copy.string()));
    bundle = std::move(*parsed);
    return {};
  }));
  if (!bundle && !read_bundle.trouble) return not_enrolled(state);
  if (is_lost(read_bundle)) return lost(read_bundle.trouble->message());
  if (!bundle) return fail(*read_bundle.trouble);
  const NextIdentity next(state);
  auto next_certificate = next.is_known() ? next.certificate() : std::nullopt;
  const bool renewed = next_certificate.has_value();
  KeptKey kept;
  if (renewed) {
    bundle->certificate = std::move(*next_certificate);
    kept.key = next.key();
    kept.reading.copy = next.key_file();
  } else {
    OUTCROP_TRY(read, read_key(folder));
    kept = std::move(read);
  }
  if (!kept.key) {
    return lost(kept.reading.trouble ? kept.reading.trouble->message()
                                     : (folder / key_name).string() + " is missing with its spare");
  }
  if (Status status = check_bundle(*bundle, kept.key->public_key()); !status) {
    return fail(status.error().context(read_bundle.copy->string()));
  }
  Identity identity(folder, std::move(*bundle), std::move(*kept.key));
  identity.bundle_ = std::move(read_bundle);
  identity.renewed_ = renewed;
  identity.key_copy_ = std::move(kept.reading);
  return identity;
}

// Both may be cut off: what is next stays until both are done.
Status Identity::move_next() const {
  OUTCROP_TRY(key, read_text_file(next().key_file(), ByteCount::kib(16)));
  OUTCROP_CHECK(key_document(folder_).write(key));
  return bundle_document(folder_).write(to_json(enrolment_));
}

Result<Identity> Identity::open(const fs::path& state) {
  OUTCROP_TRY(identity, read(state));
  const KeptTwice key = key_document(identity.folder_);
  if (!identity.renewed_) {
    bundle_document(identity.folder_).heal(identity.bundle_);
    key.heal(identity.key_copy_);
    if (identity.next().is_known()) (void)identity.next().clear();  // cut off after it was moved
  } else if (Status moved = identity.move_next(); !moved) {
    identity.unwritten_ = moved.error().message();
    return identity;  // as it is: the next start moves it
  } else if (Status cleared = identity.next().clear(); !cleared) {
    spdlog::warn("{}", cleared.error().message());
  }
  if (trust::PrivateKey::read_pem(key.file())) identity.key_copy_.copy = key.file();
  // Written from the bundle again: acceptance may have been cut off after it.
  if (const Status written = identity.write_for_tls(); !written) {
    spdlog::warn("{}", written.error().message());
    identity.unwritten_ = written.error().message();
  }
  identity.next_broker_ = identity.moved_broker().begin_trial(identity.broker());
  return identity;
}

std::optional<std::string> Identity::trouble() const {
  if (bundle_.trouble) return bundle_.trouble->message();
  if (key_copy_.trouble) return key_copy_.trouble->message();
  return unwritten_;
}

Status Identity::write_for_tls() const {
  const auto keep = [](const fs::path& file, const std::string& pem) -> Status {
    const auto there = read_text_file(file);
    if (there && *there == pem) return {};
    return write_file_durably(file, pem);
  };
  OUTCROP_CHECK(keep(own_certificate_file(), enrolment_.certificate));
  return keep(folder_ / "authority.pem", enrolment_.broker_authority);
}

// What came from the host stays but for this: a certificate that was renewed meanwhile is in the bundle on the disk.
Status Identity::keep_broker(const BrokerPlace& place) const {
  OUTCROP_TRY(now, read(folder_.parent_path()));
  messages::EnrolmentBundle bundle = now.enrolment_;
  bundle.broker_host = place.host;
  bundle.broker_port = place.port;
  bundle.broker_authority = place.authority;
  return bundle_document(folder_).write(to_json(bundle));
}

Result<messages::EnrolmentRequest> request_enrolment(const fs::path& state,
                                                     std::string_view token, bool unproved) {
  OUTCROP_TRY(parsed, trust::EnrolmentToken::parse(token));
  OUTCROP_CHECK(check_mounted(state));
  OUTCROP_CHECK(make_folder(folder_of(state)));
  OUTCROP_TRY(key, own_key(folder_of(state)));
  OUTCROP_TRY(request, trust::make_certificate_request(key));
  OUTCROP_CHECK(write_private_file(folder_of(state) / answer_key_name, trust::answer_key(parsed.secret).hex()));
  const trust::Sha256Digest mac = trust::token_mac(parsed.secret, request);
  return messages::EnrolmentRequest{parsed.id, std::move(request), mac, unproved ? first_protocol : protocol_version};
}

Status accept_enrolment(const fs::path& state, const messages::EnrolmentBundle& bundle,
                        std::string_view model, std::string_view device_class, bool unproved) {
  const fs::path folder = folder_of(state);
  OUTCROP_TRY(kept, read_key(folder));
  if (!kept.key) {
    return fail(ErrorCode::not_found,
                "this board has not asked to be enrolled: " + std::string(how_to_enrol));
  }
  OUTCROP_CHECK(check_bundle(bundle, kept.key->public_key()));
  // What it would be proved by is gone where it was taken already.
  const auto taken = Identity::read(state);
  const bool again = taken && taken->enrolment() == bundle;
  if (!again && (!unproved || bundle.protocol >= messages::enrolment_proved_since)) OUTCROP_CHECK(check_proof(folder, bundle));
  OUTCROP_CHECK(check_pinned("model", model, bundle.model));
  OUTCROP_CHECK(check_pinned("class", device_class, bundle.device_class));
  if (!again) OUTCROP_CHECK(MovedBroker(state).forget());  // the enrolment says where the broker is
  OUTCROP_CHECK(bundle_document(folder).write(to_json(bundle)));
  OUTCROP_TRY(identity, Identity::open(state));
  // It proves one answer, and whoever had it could prove another.
  if (::unlink((folder / answer_key_name).c_str()) != 0 && errno != ENOENT) {
    return fail(Error::from_errno("removing " + (folder / answer_key_name).string()));
  }
  return sync_folder(folder);
}

}  // namespace outcrop::agent
