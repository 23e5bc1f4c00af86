#include "trainer_host/cli/device_sign.hpp"

#include <cstdio>
#include <iostream>
#include <iterator>

#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/enrolment.hpp"
#include "protocol/trust/enrolment_token.hpp"
#include "trainer_host/cli/enrol_checks.hpp"
#include "trainer_host/pki/authority.hpp"
#include "trainer_host/pki/device_book.hpp"
#include "trainer_host/pki/token_book.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

Result<std::string> read_input(const std::string& name) {
  if (name != "-") return read_text_file(name, messages::enrolment_limit);
  std::string text;
  text.resize(messages::enrolment_limit.value() + 1);
  std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::cin.gcount()));
  if (text.size() > messages::enrolment_limit.value()) {
    return fail(ErrorCode::invalid_data, "standard input is longer than any enrolment request");
  }
  return text;
}

// Where boards find the broker, and whom they trust: outcropd's word.
Result<messages::EnrolmentBundle> ask_host(const HostConnection& host) {
  OUTCROP_TRY(answer, host.get("/v1/enrolment"));
  messages::EnrolmentBundle bundle;
  Status read = reading_answers([&]() -> Status {
    bundle.broker_authority = answer.at("broker_authority").get<std::string>();
    bundle.broker_host = answer.at("broker_host").get<std::string>();
    bundle.broker_port = answer.at("broker_port").get<std::uint16_t>();
    bundle.root_envelope = answer.at("root").at("envelope").get<std::string>();
    OUTCROP_TRY(digest,
                trust::Sha256Digest::from_hex(answer.at("root").at("sha256").get<std::string>()));
    bundle.root = digest;
    bundle.versions = answer.at("metadata").at("versions").get<std::map<std::string, std::uint64_t>>();
    OUTCROP_TRY(time, from_rfc3339(answer.at("metadata").at("time").get<std::string>()));
    bundle.time = time;
    return {};
  });
  OUTCROP_CHECK(std::move(read));
  return bundle;
}

Status tell_host(const HostConnection& host, const pki::Authority& authority,
                 const messages::EnrolmentBundle& bundle) {
  OUTCROP_TRY(list, authority.revocation_list());
  OUTCROP_TRY(trusted, host.post("/v1/device-authority",
                                 {{"authority", authority.certificate()}, {"crl", list}}));
  OUTCROP_TRY(enrolled, host.post("/v1/devices", {{"name", bundle.device},
                                                  {"model", bundle.model},
                                                  {"device_class", bundle.device_class},
                                                  {"certificate", bundle.certificate}}));
  return {};
}

void print_signed(const SignOptions& options, const messages::EnrolmentBundle& bundle) {
  if (options.json) {
    std::printf("%s\n",
                json_text(Json{{"device", bundle.device},
                               {"model", bundle.model},
                               {"device_class", bundle.device_class},
                               {"broker",
                                {{"host", bundle.broker_host}, {"port", bundle.broker_port}}},
                               {"root_sha256", bundle.root.hex()},
                               {"enrolment", options.out}},
                          2)
                    .c_str());
    return;
  }
  std::printf("%s is enrolled (model %s, class %s); its broker is %s:%d.\n", bundle.device.c_str(),
              bundle.model.c_str(), bundle.device_class.c_str(), bundle.broker_host.c_str(),
              static_cast<int>(bundle.broker_port));
  std::printf("Take %s back to the board, and there:\n", options.out.c_str());
  std::printf("  sudo -u outcrop-agent outcrop-agent enroll accept - < %s\n", fs::path(options.out).filename().c_str());
  std::printf("  sudo systemctl enable --now outcrop-agent\n");
}

}  // namespace

Status run_sign(const SignOptions& options) {
  OUTCROP_TRY(text, read_input(options.request));
  OUTCROP_TRY(request, messages::parse_enrolment_request(text));
  OUTCROP_TRY(key, pki::read_certificate_request(request.certificate_request));
  auto authority = pki::Authority::open(options.authority);
  if (!authority) {
    return fail(authority.error().context(
        "device authority (--authority or OUTCROP_DEVICE_AUTHORITY; `outcrop device enroll` makes "
        "one)"));
  }
  const HostConnection host(options.host);
  // Before the token is used up: outcropd may be away.
  OUTCROP_TRY(bundle, ask_host(host));
  OUTCROP_CHECK(check_authority_counts(host, *authority));
  OUTCROP_TRY(redeemed, pki::redeem(options.authority, request, SystemClock().now()));
  const pki::TokenGrant& grant = redeemed.grant;
  OUTCROP_TRY(certificate, pki::device_certificate(*authority, grant.device, key));
  bundle.device = grant.device;
  bundle.model = grant.model;
  bundle.device_class = grant.device_class;
  bundle.certificate = std::move(certificate);
  bundle.protocol = request.protocol;
  bundle.mac = trust::token_mac(redeemed.answer_key.hex(), unproved_text(bundle));
  OUTCROP_CHECK(tell_host(host, *authority, bundle));
  const std::string json = to_json(bundle);
  if (options.out == "-") {
    std::printf("%s\n", json.c_str());
    return {};
  }
  OUTCROP_CHECK(write_file_durably(options.out, json + "\n"));
  print_signed(options, bundle);
  return {};
}

}  // namespace outcrop::cli
