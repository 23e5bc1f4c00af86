#include "trainer_host/pki/token_book.hpp"

#include <optional>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/private_file.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/names.hpp"
#include "protocol/trust/enrolment_token.hpp"

namespace outcrop::pki {
namespace fs = std::filesystem;
namespace {

using messages::Json;
using messages::ObjectReader;

constexpr ByteCount longest_record = ByteCount::kib(64);

struct Record {
  TokenGrant grant;
  Timestamp granted;
  Timestamp expires;
  std::string secret;                           // "" once used
  std::optional<trust::Sha256Digest> used_for;  // digest of the request
  std::optional<trust::Sha256Digest> answer_key;  // once used
  Timestamp used;
};

fs::path file_of(const fs::path& folder, const std::string& id) {
  return folder / "tokens" / (id + ".json");
}

// Of the request as a whole: only the one that was let through may come again.
trust::Sha256Digest digest_of(const messages::EnrolmentRequest& request) {
  return trust::sha256(request.token_id + request.mac.hex() + request.certificate_request);
}

Status write(const fs::path& file, const Record& record) {
  const Json json{{"device", record.grant.device},
                  {"model", record.grant.model},
                  {"device_class", record.grant.device_class},
                  {"granted", to_rfc3339(record.granted)},
                  {"expires", to_rfc3339(record.expires)},
                  {"secret", record.secret},
                  {"used_for", record.used_for ? record.used_for->hex() : ""},
                  {"answer_key", record.answer_key ? record.answer_key->hex() : ""},
                  {"used", record.used_for ? to_rfc3339(record.used) : ""}};
  return write_private_file(file, json_text(json, 2));
}

Result<Record> read(const fs::path& file) {
  OUTCROP_TRY(text, read_text_file(file, longest_record));
  OUTCROP_TRY(json, messages::parse_object(text, longest_record, file.string()));
  ObjectReader reader(json, file.string());
  Record record;
  record.grant.device = reader.name("device");
  record.grant.model = reader.name("model");
  record.grant.device_class = reader.name("device_class");
  record.granted = reader.time("granted");
  record.expires = reader.time("expires");
  record.secret = reader.text("secret");
  record.used_for = reader.digest_or_empty("used_for");
  // Tokens of before answers were proved have none.
  if (reader.has("answer_key")) record.answer_key = reader.digest_or_empty("answer_key");
  if (record.used_for) {
    record.used = reader.time("used");
  } else {
    reader.constant("used", "");
  }
  reader.done();
  OUTCROP_CHECK(reader.status());
  return record;
}

Status check_name(std::string_view what, const std::string& name) {
  if (messages::is_name(name)) return {};
  return fail(ErrorCode::invalid_argument,
              "'" + name + "' cannot be a " + std::string(what) + ": 1 to 63 of a-z, 0-9 and -");
}

// The id is part of a file's name: nothing but a token's own spelling may get there.
bool is_token_id(const std::string& id) {
  return trust::EnrolmentToken::parse(id + "-" + std::string(32, '0')).has_value();
}

}  // namespace

Status check_grant(const TokenGrant& grant) {
  OUTCROP_CHECK(check_name("device's name", grant.device));
  OUTCROP_CHECK(check_name("model's name", grant.model));
  return check_name("device class", grant.device_class);
}

Result<std::string> grant_token(const fs::path& folder, const TokenGrant& grant, Timestamp now,
                                std::chrono::minutes valid) {
  OUTCROP_CHECK(check_grant(grant));
  if (valid.count() < 1) {
    return fail(ErrorCode::invalid_argument, "a token must be valid for a minute at least");
  }
  OUTCROP_TRY(token, trust::EnrolmentToken::generate());
  OUTCROP_CHECK(make_private_folder(folder / "tokens"));
  OUTCROP_CHECK(
      write(file_of(folder, token.id), {grant, now, now + valid, token.secret, {}, {}, {}}));
  return token.text();
}

Result<Redeemed> redeem(const fs::path& folder, const messages::EnrolmentRequest& request,
                          Timestamp now) {
  const auto unknown = [&] {
    return fail(ErrorCode::untrusted, "the request names a token that " + folder.string() +
                                          " did not grant; make one with `outcrop device enroll`");
  };
  if (!is_token_id(request.token_id)) return unknown();
  const fs::path file = file_of(folder, request.token_id);
  std::error_code error;
  if (!fs::exists(file, error)) return unknown();
  OUTCROP_TRY(lock, lock_file(folder / "tokens" / "lock", 0600));
  OUTCROP_TRY(record, read(file));
  if (record.used_for) {
    // Signing that was cut off is completed: the same request gives the same certificate.
    const bool again = record.answer_key && trust::equal_macs(*record.used_for, digest_of(request));
    if (again) return Redeemed{record.grant, *record.answer_key};
    return fail(ErrorCode::already_exists,
                "this token was used on " + to_rfc3339(record.used) + " for '" +
                    record.grant.device +
                    "', by another request; each request needs a token of its own "
                    "(`outcrop device enroll`)");
  }
  if (!trust::equal_macs(trust::token_mac(record.secret, request.certificate_request),
                         request.mac)) {
    return fail(ErrorCode::untrusted,
                "the request was not made with the token that it names, or was changed since");
  }
  if (now >= record.expires) {
    return fail(ErrorCode::expired, "the token for '" + record.grant.device + "' expired on " +
                                        to_rfc3339(record.expires) +
                                        "; make another with `outcrop device enroll`");
  }
  record.answer_key = trust::answer_key(record.secret);
  record.secret.clear();
  record.used_for = digest_of(request);
  record.used = now;
  OUTCROP_CHECK(write(file, record));
  return Redeemed{record.grant, *record.answer_key};
}

}  // namespace outcrop::pki
