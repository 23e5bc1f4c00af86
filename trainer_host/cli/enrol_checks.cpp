#include "trainer_host/cli/enrol_checks.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

#include "protocol/base/join.hpp"
#include "protocol/trust/certificate.hpp"
#include "trainer_host/cli/trust_options.hpp"

namespace outcrop::cli {
namespace {

bool holds(const std::vector<std::string>& models, const std::string& model) {
  return std::find(models.begin(), models.end(), model) != models.end();
}

// Nothing where it is away, or was given no list of keys yet.
std::optional<std::vector<std::string>> models_of(const HostConnection& host) {
  const auto answer = host.get("/v1/host");
  if (!answer) return std::nullopt;
  const auto models = answer->find("models");
  if (models == answer->end() || !models->is_array()) return std::nullopt;
  return models->get<std::vector<std::string>>();
}

}  // namespace

Status check_authority_counts(const HostConnection& host, const pki::Authority& authority) {
  const auto answer = host.get("/v1/device-authorities");
  if (!answer) return {};
  OUTCROP_TRY(info, trust::read_certificate(authority.certificate()));
  return reading_answers([&]() -> Status {
    for (const Json& one : answer->at("removed")) {
      if (one.at("keyid") != info.key.id().hex()) continue;
      return fail(ErrorCode::revoked, "the device authority in " + authority.folder().string() + " was removed on " +
                                          one.at("removed").get<std::string>() + ": " + one.at("reason").get<std::string>() +
                                          "; outcropd takes no board of it. Another folder, named by --authority, makes another one");
    }
    return {};
  });
}

Status check_model_has_key(const HostConnection& host, const std::string& model) {
  const auto published = models_of(host);
  if (published && holds(*published, model)) return {};
  const auto keys = key_folder_models();
  if (keys && holds(*keys, model)) {
    if (published) {
      std::fprintf(stderr, "outcrop: outcropd does not know yet that there is a key for '%s': outcrop keys publish\n", model.c_str());
    }
    return {};
  }
  if (!keys && !published) return {};
  std::vector<std::string> known = published.value_or(std::vector<std::string>());
  if (keys) {
    std::copy_if(keys->begin(), keys->end(), std::back_inserter(known), [&](const std::string& one) { return !holds(known, one); });
  }
  return fail(ErrorCode::not_found, "no key signs for a model '" + model + "': a board of it would never be offered anything. Keys are for " +
                                        (known.empty() ? "none" : join(known)) + " (a further one: outcrop keys add-model " + model +
                                        " --dir KEYS, then outcrop keys publish --dir KEYS)");
}

}  // namespace outcrop::cli
