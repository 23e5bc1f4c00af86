#include "trainer_host/fleet/metadata/expiry.hpp"

#include <algorithm>
#include <vector>

namespace outcrop::fleet {
namespace {

std::string remedy_for(const std::string& role) {
  if (role == "root") {
    return "`outcrop keys rotate --dir keys` with the offline keys, then `outcrop keys publish "
           "--dir keys`";
  }
  if (role.starts_with("stage-")) {
    return "`outcrop release create` signs it anew with the next release";
  }
  if (role == "snapshot" || role == "timestamp") {
    return "outcropd renews it by itself, unless it cannot sign: its log says why";
  }
  return "`outcrop keys renew --dir keys` with the offline key, then `outcrop keys publish --dir "
         "keys`";
}

std::vector<Expiry> signed_by_persons(const RoleSet& roles) {
  std::vector<Expiry> all{{"root", roles.root()->expires}};
  if (roles.targets()) all.push_back({"targets", (*roles.targets())->expires});
  if (roles.revoked()) all.push_back({"revoked", (*roles.revoked())->expires});
  for (const auto& [model, stage] : roles.stages()) {
    all.push_back({trust::stage_role(model), stage->expires});
  }
  return all;
}

}  // namespace

Expiry nearest_expiry(const RoleSet& roles) {
  const auto all = signed_by_persons(roles);
  return *std::min_element(all.begin(), all.end(), [](const Expiry& one, const Expiry& other) {
    return one.when < other.when;
  });
}

std::optional<std::string> expiry_words(const RoleSet& roles, Timestamp now) {
  const Expiry nearest = nearest_expiry(roles);
  if (nearest.when - now > expiry_warning) return std::nullopt;
  if (nearest.when <= now) {
    return nearest.role + " expired on " + to_rfc3339(nearest.when) +
           ": boards install nothing any more; " + remedy_for(nearest.role);
  }
  const auto days = std::chrono::floor<std::chrono::days>(nearest.when - now).count();
  return nearest.role + " expires on " + to_rfc3339(nearest.when) + ", in " + std::to_string(days) +
         (days == 1 ? " day" : " days") + ": then boards install nothing any more; " +
         remedy_for(nearest.role);
}

Status check_fresh(const RoleSet& roles, const std::string& model, Timestamp now) {
  std::vector<Expiry> all = signed_by_persons(roles);
  if (roles.snapshot()) all.push_back({"snapshot", (*roles.snapshot())->expires});
  if (roles.timestamp()) all.push_back({"timestamp", (*roles.timestamp())->expires});
  for (const Expiry& expiry : all) {
    const bool of_another = expiry.role.starts_with("stage-") &&
                            expiry.role != trust::stage_role(model);
    if (of_another || now < expiry.when) continue;
    return fail(ErrorCode::expired, expiry.role + " expired on " + to_rfc3339(expiry.when) +
                                        ", and boards would refuse the release: " +
                                        remedy_for(expiry.role));
  }
  return {};
}

}  // namespace outcrop::fleet
