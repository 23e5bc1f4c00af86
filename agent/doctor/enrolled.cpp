#include "agent/doctor/enrolled.hpp"

#include <algorithm>
#include <utility>

#include "agent/doctor/broker_probe.hpp"
#include "protocol/trust/certificate.hpp"

namespace outcrop::agent {
namespace {

using std::chrono::days;
using std::chrono::duration_cast;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr const char* as_the_agent =
    "may this user read it? sudo -u outcrop-agent outcrop-agent doctor";

std::string day(Timestamp time) {
  return to_rfc3339(time).substr(0, 10);
}

std::string age(std::chrono::seconds time) {
  if (time < hours(2)) return std::to_string(duration_cast<minutes>(time).count()) + " minutes";
  if (time < days(2)) return std::to_string(duration_cast<hours>(time).count()) + " hours";
  return std::to_string(duration_cast<days>(time).count()) + " days";
}

// A board that is not enrolled, or one whose identity cannot be read or is damaged.
Finding without_identity(const Error& error) {
  if (const std::size_t colon = error.message().find(": on the host"); colon != std::string::npos) {
    const bool never = error.code() == ErrorCode::not_found;
    return {"certificate", never ? Verdict::warn : Verdict::fail, error.message().substr(0, colon),
            error.message().substr(colon + 2)};
  }
  if (error.code() == ErrorCode::io) {
    return {"certificate", Verdict::unknown, error.message(), as_the_agent};
  }
  if (error.code() == ErrorCode::refused) return {"certificate", Verdict::fail, error.message(), {}};
  return {"certificate", Verdict::fail, error.message(), "enrol this board again"};
}

}  // namespace

Finding check_certificate(const Result<Identity>& identity, Timestamp now) {
  if (!identity) return without_identity(identity.error());
  const auto certificate = trust::read_certificate(identity->enrolment().certificate);
  if (!certificate) {
    return {"certificate", Verdict::fail, certificate.error().message(), "enrol this board again"};
  }
  const std::string text =
      certificate->common_name + ", valid until " + day(certificate->not_after);
  if (now < certificate->not_before) {
    return {"certificate", Verdict::fail,
            certificate->common_name + ", not valid before " + to_rfc3339(certificate->not_before),
            "is this board's clock right?"};
  }
  if (now >= certificate->not_after) {
    return {"certificate", Verdict::fail, text + ": it has expired",
            "enrol this board again, unless its clock is wrong"};
  }
  if (now + expiry_notice >= certificate->not_after) {
    return {"certificate", Verdict::warn, text, "enrol this board again before that day"};
  }
  return {"certificate", Verdict::ok, text, {}};
}

Finding check_broker(const Result<Identity>& identity, const AgentConfig& config,
                     milliseconds patience) {
  if (!identity) {
    return {"broker", Verdict::unknown, "not asked: there is no identity to show it",
            "first the certificate"};
  }
  const messages::EnrolmentBundle& enrolment = identity->enrolment();
  const BrokerTarget target{config.broker_host.empty() ? enrolment.broker_host : config.broker_host,
                            config.broker_port == 0 ? enrolment.broker_port : config.broker_port,
                            enrolment.broker_authority, enrolment.certificate, identity->key()};
  const auto reached = probe_broker(target, patience);
  if (reached) return {"broker", Verdict::ok, *reached, {}};
  return {"broker", Verdict::fail, reached.error().found, reached.error().advice};
}

Finding check_metadata(const Result<ReadTrustedState>& read, Timestamp now) {
  if (!read) return {"metadata", Verdict::fail, read.error().message(), "as it says"};
  const std::optional<TrustedState>& state = read->state;
  if (!state && read->reading.trouble) {
    const Error& trouble = *read->reading.trouble;
    if (trouble.code() == ErrorCode::io) {
      return {"metadata", Verdict::unknown, trouble.message(), as_the_agent};
    }
    return {"metadata", Verdict::fail, trouble.message(),
            "start the agent: it sets them aside, trusts the root of its enrolment and asks for the "
            "rest; until that has come no update is taken"};
  }
  if (!state || !state->set) {
    return {"metadata", Verdict::unknown, "none yet",
            "they come with the first connection of the agent: systemctl status outcrop-agent"};
  }
  const TrustedState& here = *state;
  const Timestamp time = std::max(now, here.time_floor.value_or(now));
  const std::chrono::seconds old = std::max(std::chrono::seconds(0), time - here.set->timestamp->issued);
  const std::vector<Expiry> all = expiries(here);
  const std::string text = "snapshot " + std::to_string(here.set->snapshot->version) + ", root " +
                           std::to_string(here.root->version) + ", " + age(old) + " old, ";
  const Expiry& first = all.front();
  if (const auto floor = floor_ahead(here); floor && time >= first.when) {
    return {"metadata", Verdict::fail,
            text + first.what + " counts as expired: the host signed once with a clock that was "
                                "ahead, and this board believes in no time before " +
                to_rfc3339(*floor),
            remedy_for_a_floor_ahead};
  }
  if (time >= first.when) {
    return {
        "metadata", Verdict::fail, text + first.what + " expired on " + day(first.when),
        first.renewed_by_host
            ? "no update is taken until the host is heard again: is the agent connected?"
            : "no update is taken until it is signed anew; on the host: outcrop keys renew, then "
              "outcrop keys publish"};
  }
  for (const Expiry& next : all) {
    if (next.renewed_by_host || time + expiry_notice < next.when) continue;
    return {"metadata", Verdict::warn, text + next.what + " expires on " + day(next.when),
            "on the host: outcrop keys renew, then outcrop keys publish"};
  }
  return {"metadata", Verdict::ok, text + "good until " + day(first.when), {}};
}

}  // namespace outcrop::agent
