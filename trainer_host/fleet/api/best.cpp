#include "trainer_host/fleet/view/best.hpp"

#include <utility>

#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"

namespace outcrop::fleet {
namespace {

Json to_json(const Contender& one) {
  return {{"manifest", one.manifest.hex()},
          {"variant", one.variant},
          {"boards", one.boards},
          {"ratio", number_or_null(one.ratio)},
          {"low", number_or_null(one.low)},
          {"high", number_or_null(one.high)},
          {"better", one.better},
          {"worse", one.worse},
          {"words", one.words}};
}

Json to_json(const std::vector<Contender>& all) {
  Json json = Json::array();
  for (const Contender& one : all) json.push_back(to_json(one));
  return json;
}

Json to_json(const BestOfClass& best) {
  return {{"model", best.model},
          {"device_class", best.device_class},
          {"boards", best.boards},
          {"serving", best.serving},
          {"incumbent", best.incumbent ? to_json(*best.incumbent) : Json(nullptr)},
          {"variants", to_json(best.variants)},
          {"releases", to_json(best.releases)},
          {"words", best.words}};
}

struct Asked {
  Aim aim = Aim::p90_ms;
  std::string model, device_class;
};

Result<Asked> asked_by(const std::map<std::string, std::string>& query) {
  Asked asked;
  for (const auto& [word, value] : query) {
    if (word == "objective") {
      OUTCROP_TRY(aim, aim_from(value));
      asked.aim = aim;
    } else if (word == "class") {
      asked.device_class = value;
    } else if (word == "model") {
      asked.model = value;
    }
  }
  return asked;
}

}  // namespace

boost::asio::awaitable<http::Response> Api::best(http::Request request) {
  const auto asked = asked_by(request.query);
  if (!asked) co_return http::error_response(asked.error());
  if (const Status status = view_.refresh(); !status) co_return http::error_response(status.error());
  const SizeOf size_of = [this](const trust::Sha256Digest& manifest, const std::string& variant) -> std::optional<std::uint64_t> {
    const auto described = manifests_.of(manifest);
    const messages::Variant* const known = described ? (*described)->variant(variant) : nullptr;
    if (known == nullptr) return std::nullopt;
    return known->blob.size.value();
  };
  std::vector<Contest> found = contests(view_, asked->aim, size_of);
  std::erase_if(found, [&](const Contest& one) {
    return (!asked->model.empty() && one.of.model != asked->model) ||
           (!asked->device_class.empty() && one.of.device_class != asked->device_class);
  });
  std::function<std::vector<BestOfClass>()> work = [found = std::move(found), aim = asked->aim]() mutable { return judge(std::move(found), aim); };
  const auto judged = co_await on_worker<std::vector<BestOfClass>>(parts_.worker, std::move(work));
  Json classes = Json::array();
  for (const BestOfClass& one : judged) classes.push_back(to_json(one));
  co_return respond({{"objective", to_string(asked->aim)}, {"classes", std::move(classes)}, {"unread", view_.unread()}});
}

}  // namespace outcrop::fleet
