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

constexpr days notice{30};

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
  if (error.code() == ErrorCode::not_found) {
    const std::size_t colon = error.message().find(": on the host");
    if (colon == std::string::npos) {
      return {"certificate", Verdict::fail, error.message(), "enrol this board again"};
    }
    return {"certificate", Verdict::warn, error.message().substr(0, colon),
            error.message().substr(colon + 2)};
  }
  if (error.code() == ErrorCode::io) {
    return {"certificate", Verdict::unknown, error.message(), as_the_agent};
  }
  return {"certificate", Verdict::fail, error.message(), "enrol this board again"};
}

struct Expiry {
  std::string role;
  Timestamp when;
};

std::vector<Expiry> expiries(const TrustedState& state) {
  std::vector<Expiry> all{{"root", state.root->expires}};
  if (state.revoked) all.push_back({"revoked", state.revoked->list->expires});
  if (state.set) {
    all.push_back({"targets", state.set->targets->expires});
    all.push_back({"snapshot", state.set->snapshot->expires});
    all.push_back({"timestamp", state.set->timestamp->expires});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Expiry& a, const Expiry& b) { return a.when < b.when; });
  return all;
}

// The host signs these by itself, again and again.
bool is_renewed_by_the_host(const std::string& role) {
  return role == "snapshot" || role == "timestamp";
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
  if (now + notice >= certificate->not_after) {
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

Finding check_metadata(const Result<std::optional<TrustedState>>& state, Timestamp now) {
  if (!state && state.error().code() == ErrorCode::io) {
    return {"metadata", Verdict::unknown, state.error().message(), as_the_agent};
  }
  if (!state) {
    return {"metadata", Verdict::fail, state.error().message(),
            state.error().code() == ErrorCode::unsupported
                ? "as it says"
                : "end the agent, remove that file and start it again: it then trusts the root of "
                  "its enrolment and asks for the rest"};
  }
  if (!*state || !(*state)->set) {
    return {"metadata", Verdict::unknown, "none yet",
            "they come with the first connection of the agent: systemctl status outcrop-agent"};
  }
  const TrustedState& here = **state;
  const Timestamp time = std::max(now, here.time_floor.value_or(now));
  const std::chrono::seconds old = std::max(std::chrono::seconds(0), time - here.set->timestamp->issued);
  const std::vector<Expiry> all = expiries(here);
  const std::string text = "snapshot " + std::to_string(here.set->snapshot->version) + ", root " +
                           std::to_string(here.root->version) + ", " + age(old) + " old, ";
  const Expiry& first = all.front();
  if (time >= first.when) {
    return {
        "metadata", Verdict::fail, text + first.role + " expired on " + day(first.when),
        is_renewed_by_the_host(first.role)
            ? "no update is taken until the host is heard again: is the agent connected?"
            : "no update is taken until it is signed anew; on the host: outcrop keys renew, then "
              "outcrop keys publish"};
  }
  for (const Expiry& next : all) {
    if (is_renewed_by_the_host(next.role) || time + notice < next.when) continue;
    return {"metadata", Verdict::warn, text + next.role + " expires on " + day(next.when),
            "on the host: outcrop keys renew, then outcrop keys publish"};
  }
  return {"metadata", Verdict::ok, text + "good until " + day(first.when), {}};
}

}  // namespace outcrop::agent
