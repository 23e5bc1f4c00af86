#include <type_traits>
#include <utility>

#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/openapi.hpp"

namespace outcrop::fleet {
namespace {

namespace asio = boost::asio;

// Of what is answered at once.
template <class Answer>
auto at_once(Answer answer) {
  return [answer](Api& api, http::Request request, std::vector<std::string> names,
                  Asking asking) -> asio::awaitable<http::Response> {
    Result<http::Response> result = api.in_one_commit(asking.again, [&] {
      if constexpr (std::is_invocable_v<Answer, Api&, http::Request&, std::vector<std::string>&, const std::string&>) {
        return answer(api, request, names, asking.who);
      } else {
        return answer(api, request, names);
      }
    });
    co_return result ? std::move(*result) : http::error_response(result.error());
  };
}

}  // namespace

const std::vector<Api::Route>& Api::routes() {
  using http::Request;
  const auto board = [](Api& api, Registry& registry, const Names& n) { return api.board_of(registry, n[0]); };
  const auto certificate = [](Api& api, Registry& registry, const Names& n) { return api.certificate_of(registry, n[0]); };
  const auto group = [](Api& api, Registry& registry, const Names& n) { return api.group_of(registry, n[0]); };
  const auto token = [](Api& api, Registry&, const Names& n) { return api.token_of(n[0]); };
  const auto authority = [](Api& api, Registry& registry, const Names& n) { return api.authority_of(registry, n[0]); };
  const auto shown = [](const auto& resource) {
    return at_once([resource](Api& api, Request&, Names& n) { return resource(api, api.parts_.reader, n); });
  };
  static const std::vector<Route> all{
      {"GET", "/v1/host", Role::viewer,
       [](Api& api, Request, Names, Asking) { return api.host(); }},
      {"POST", "/v1/host/adopt", Role::admin,
       at_once([](Api& api, Request&, Names&) { return api.adopt(); })},
      {"GET", "/v1/enrolment", Role::viewer,
       [](Api& api, Request, Names, Asking) { return api.enrolment(); }},
      {"POST", "/v1/device-authority", Role::admin,
       at_once([](Api& api, Request& r, Names&) { return api.add_authority(r.body); })},
      {"GET", "/v1/device-authorities", Role::viewer,
       [](Api& api, Request, Names, Asking) { return api.authorities(); }},
      {"GET", "/v1/device-authorities/{keyid}", Role::viewer, shown(authority), authority},
      {"POST", "/v1/device-authorities/{keyid}/remove", Role::admin,
       [](Api& api, Request request, Names names, Asking asking) {
         return api.remove_authority(std::move(names[0]), std::move(request.body), std::move(asking.again));
       },
       authority},
      {"GET", "/v1/devices", Role::viewer,
       at_once([](Api& api, Request& r, Names&) { return api.devices(r); })},
      {"POST", "/v1/devices", Role::admin,
       at_once([](Api& api, Request& r, Names&) { return api.add_device(r.body); })},
      {"GET", "/v1/devices/{name}", Role::viewer, shown(board), board},
      {"POST", "/v1/devices/{name}/revoke", Role::admin,
       at_once([](Api& api, Request& r, Names& n) { return api.revoke_device(n[0], r.body); }), board},
      {"GET", "/v1/renewals", Role::viewer,
       [](Api& api, Request, Names, Asking) { return api.renewals(); }},
      {"GET", "/v1/devices/{name}/certificate", Role::viewer, shown(certificate), certificate},
      {"POST", "/v1/devices/{name}/certificate", Role::admin,
       at_once([](Api& api, Request& r, Names& n) { return api.give_certificate(n[0], r.body); }), board},
      {"POST", "/v1/tags", Role::fleet_operator,
       at_once([](Api& api, Request& r, Names&) { return api.tag_devices(r.body); })},
      {"GET", "/v1/groups", Role::viewer,
       at_once([](Api& api, Request&, Names&) { return api.groups(); })},
      {"GET", "/v1/groups/{name}", Role::viewer, shown(group), group},
      {"PUT", "/v1/groups/{name}", Role::fleet_operator,
       at_once([](Api& api, Request& r, Names& n) { return api.save_group(n[0], r.body); }), group},
      {"DELETE", "/v1/groups/{name}", Role::fleet_operator,
       at_once([](Api& api, Request&, Names& n) { return api.remove_group(n[0]); }), group},
      {"GET", "/v1/blobs/{sha256}", Role::admin,
       [](Api& api, Request, Names names, Asking) { return api.blob(names[0]); }},
      {"PUT", "/v1/blobs/{sha256}", Role::admin,
       [](Api& api, Request request, Names, Asking) { return api.upload(std::move(request)); }},
      {"GET", "/v1/releases", Role::viewer,
       at_once([](Api& api, Request& r, Names&) { return api.releases(r); })},
      {"POST", "/v1/releases", Role::admin,
       [](Api& api, Request request, Names, Asking asking) {
         return api.publish_release(std::move(request.body), std::move(asking.again));
       }},
      {"GET", "/v1/releases/{sha256}", Role::viewer,
       at_once([](Api& api, Request&, Names& n) { return api.release(n[0]); })},
      {"GET", "/v1/releases/{sha256}/layers", Role::viewer,
       at_once([](Api& api, Request& r, Names& n) { return api.layers(n[0], r); })},
      {"GET", "/v1/metadata", Role::viewer,
       [](Api& api, Request, Names, Asking) { return api.metadata(); }},
      {"POST", "/v1/metadata", Role::admin,
       at_once([](Api& api, Request& r, Names&) { return api.add_metadata(r.body); })},
      {"GET", "/v1/rollouts", Role::viewer,
       [](Api& api, Request request, Names, Asking) { return api.rollouts(std::move(request)); }},
      {"POST", "/v1/rollouts", Role::fleet_operator,
       at_once([](Api& api, Request& r, Names&) { return api.start_rollout(r.body); })},
      {"GET", "/v1/rollouts/{name}", Role::viewer,
       [](Api& api, Request, Names names, Asking) { return api.rollout(names[0]); }, {}, true},
      {"POST", "/v1/rollouts/{name}/{verb}", Role::fleet_operator,
       at_once([](Api& api, Request&, Names& n) { return api.steer_rollout(n[0], n[1]); }), {}, true},
      {"GET", "/v1/reports", Role::viewer,
       at_once([](Api& api, Request& r, Names&) { return api.reports(r); })},
      {"GET", "/v1/changes", Role::viewer,
       at_once([](Api& api, Request&, Names&) { return api.changes(); })},
      {"POST", "/v1/changes/acknowledge", Role::fleet_operator,
       at_once([](Api& api, Request& r, Names&, const std::string& who) { return api.acknowledge_change(r.body, who); })},
      {"GET", "/v1/best", Role::viewer,
       [](Api& api, Request request, Names, Asking) { return api.best(std::move(request)); }},
      {"GET", "/v1/history", Role::viewer,
       [](Api& api, Request request, Names, Asking) { return api.history(std::move(request)); }},
      {"GET", "/v1/outliers", Role::viewer,
       [](Api& api, Request request, Names, Asking) { return api.outliers(std::move(request)); }},
      {"POST", "/v1/measure", Role::fleet_operator,
       at_once([](Api& api, Request& r, Names&) { return api.measure(r.body); })},
      {"POST", "/v1/pictures", Role::fleet_operator,
       at_once([](Api& api, Request& r, Names&) { return api.ask_pictures(r.body); })},
      {"POST", "/v1/broker/move", Role::admin,
       at_once([](Api& api, Request& r, Names&) { return api.move_broker(r.body); })},
      {"GET", "/v1/devices/{name}/picture", Role::viewer,
       [](Api& api, Request, Names names, Asking) { return api.picture(std::move(names[0])); }},
      {"GET", "/v1/devices/{name}/picture.png", Role::viewer,
       [](Api& api, Request request, Names names, Asking) { return api.picture_file(std::move(request), std::move(names[0])); }},
      {"GET", "/v1/audit", Role::viewer,
       at_once([](Api& api, Request& r, Names&) { return api.audit(r); })},
      {"GET", "/v1/events", Role::viewer,
       at_once([](Api& api, Request& r, Names&) { return api.events(r); })},
      {"GET", "/v1/tokens", Role::admin,
       at_once([](Api& api, Request&, Names&) { return api.tokens(); })},
      {"POST", "/v1/tokens", Role::admin,
       at_once([](Api& api, Request& r, Names&) { return api.add_token(r.body); })},
      {"GET", "/v1/tokens/{name}", Role::admin, shown(token), token},
      {"DELETE", "/v1/tokens/{name}", Role::admin,
       at_once([](Api& api, Request&, Names& n) { return api.remove_token(n[0]); }), token},
      {"GET", "/v1/openapi.json", Role::viewer,
       at_once([](Api&, Request&, Names&) -> Result<http::Response> {
         return http::Response{200, "application/json", std::string(openapi_document())};
       })},
      {"GET", "/metrics", Role::viewer,
       at_once([](Api& api, Request& r, Names&) { return api.metrics(r); })},
      {"GET", "/metrics/boards", Role::viewer,
       at_once([](Api& api, Request& r, Names&) { return api.board_metrics(r); })}};
  return all;
}

}  // namespace outcrop::fleet
