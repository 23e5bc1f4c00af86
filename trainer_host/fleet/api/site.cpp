#include <spdlog/spdlog.h>

#include <algorithm>
#include <sstream>

#include "platform/http/target.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"
#include "trainer_host/fleet/page/page.hpp"
#include "trainer_host/fleet/view/filter.hpp"

// What comes by TCP: who it is, and the pages with their few forms.

namespace outcrop::fleet {
namespace asio = boost::asio;
namespace {

constexpr std::string_view cookie_name = "outcrop=";

// A form that a browser sent, word by word.
class Form {
 public:
  explicit Form(std::string body) {
    std::replace(body.begin(), body.end(), '+', ' ');
    if (auto target = http::parse_target("/?" + body)) words_ = std::move(target->query);
  }
  // "" where there is none.
  [[nodiscard]] std::string word(const std::string& name) const {
    const auto found = words_.find(name);
    return found == words_.end() ? "" : found->second;
  }
  [[nodiscard]] const std::map<std::string, std::string>& words() const { return words_; }

 private:
  std::map<std::string, std::string> words_;
};

std::string cookie_in(const std::string& header) {
  const std::size_t at = header.find(cookie_name);
  if (at == std::string::npos || (at > 0 && header[at - 1] != ' ' && header[at - 1] != ';')) return "";
  const std::size_t begin = at + cookie_name.size();
  return header.substr(begin, header.find(';', begin) - begin);
}

std::string host_name(const std::string& host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool wants_page(const http::Request& request) {
  return request.method == "GET" && request.header("accept").find("text/html") != std::string::npos;
}

// A page of somebody else's, under a name that it had this machine resolve to here, asks for another host.
bool names_this_machine(const http::Request& request) {
  const std::string name = host_name(request.header("host"));
  return name == "127.0.0.1" || name == "localhost" || name == "[::1]";
}

// Whether a page of ours sent it: browsers say so themselves.
bool from_own_page(const http::Request& request) {
  const std::string site = request.header("sec-fetch-site");
  if (!site.empty()) return site == "same-origin";
  const std::string origin = request.header("origin");
  return origin == (request.secure ? "https://" : "http://") + request.header("host");
}

// A program sends neither.
bool said_by_a_browser(const http::Request& request) {
  return !request.header("origin").empty() || !request.header("sec-fetch-site").empty();
}

http::Response asked_by_another_site() {
  return http::error_response(
      Error(ErrorCode::untrusted, "this was asked for by another site, and not done"));
}

http::Response who_are_you(const http::Request& request) {
  http::Response response = http::error_response(
      Error(ErrorCode::untrusted, request.certificate.empty()
                                      ? "a token is needed: Authorization: Bearer TOKEN"
                                      : "nothing is said of a certificate of '" + request.certificate +
                                            "' ([http.certificates]): a token is needed"), 401);
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

http::Response with_cookie(http::Response response, const http::Request& request,
                           const std::string& value, const std::string& age) {
  response.headers.emplace_back("Set-Cookie", std::string(cookie_name) + value +
                                                  "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" + age +
                                                  (request.secure ? "; Secure" : ""));
  return response;
}

}  // namespace

http::Response see_other(const std::string& place) {
  http::Response response{303, "text/plain", "See " + place + "\n"};
  response.headers = {{"Location", place}, {"Cache-Control", "no-store"}};
  return response;
}

std::optional<Caller> Api::caller_of(const http::Request& request) const {
  constexpr std::string_view bearer = "Bearer ";
  const std::string given = request.header("authorization");
  if (!given.empty()) {
    const auto token = given.starts_with(bearer) ? parts_.tokens.of(given.substr(bearer.size())) : std::nullopt;
    if (!token) return std::nullopt;
    return Caller{token->role, "token " + token->name};
  }
  if (const auto token = parts_.tokens.of(cookie_in(request.header("cookie")))) {
    return Caller{token->role, "token " + token->name, true};
  }
  if (const auto known = parts_.certificates.find(request.certificate); known != parts_.certificates.end()) {
    return Caller{known->second, "certificate " + known->first};
  }
  if (parts_.anybody_may_look && !request.secure) return Caller{Role::viewer, request.address};
  return std::nullopt;
}

http::Response Api::enter(const http::Request& request) {
  const std::string secret = Form(request.body).word("token");
  if (!parts_.tokens.of(secret)) {
    return page::Page::login("That is no token of this host.", 401);
  }
  return with_cookie(see_other("/"), request, secret, "2592000");
}

http::Response Api::steer_by_form(const std::string& name, const std::string& who,
                                  const http::Request& request) {
  const Form form(request.body);
  const std::string verb = form.word("verb");
  if (verb == "abort" && form.word("confirm") != name) {
    return http::error_response(
        Error(ErrorCode::invalid_argument, "to roll it back, type its name: " + name));
  }
  const auto steered = steer_rollout(name, verb);
  spdlog::info("{} of rollout {} by {}: {}", verb, name, who,
               steered ? "done" : steered.error().message());
  if (!steered) return http::error_response(steered.error());
  rollouts_changed();
  parts_.record(who, {"rollout-" + verb, name, R"({"by": "the page"})"});
  return see_other("/rollouts/" + name);
}

// Boards that are ticked, "b.NAME", or all of the filter that the page showed.
asio::awaitable<http::Response> Api::tag_by_form(std::string body, std::string who) {
  const Form form(std::move(body));
  const auto shown = http::parse_target("/?" + form.word("filter"));
  const auto query = BoardQuery::read(shown ? shown->query : std::map<std::string, std::string>());
  if (!shown || !query) co_return http::error_response(Error(ErrorCode::invalid_argument, "'" + form.word("filter") + "' is no filter of boards"));
  Json names = Json::array();
  if (form.word("which") == "all") {
    if (const Status read = view_.refresh(); !read) co_return http::error_response(read.error());
    for (const BoardRow* row : select_all(view_, *query)) names.push_back(row->device.name);
  }
  for (const auto& [key, value] : form.words()) {
    if (key.starts_with("b.") && form.word("which") == "ticked") names.push_back(key.substr(2));
  }
  if (names.empty()) co_return http::error_response(Error(ErrorCode::invalid_argument, "no board is ticked, or none is like that any more"));
  const std::string asked = json_text(Json{{"tag", form.word("tag")}, {"devices", std::move(names)}, {"remove", form.word("verb") == "remove"}});
  std::function<http::Response()> tag = [this, asked, who, place = "/boards?" + query->words()] {
    const auto tagged = tag_devices(asked);
    if (!tagged) return http::error_response(tagged.error());
    parts_.record(who, audited("POST", "/v1/tags", "/boards/tag", asked, 200, tagged->body));
    return see_other(place);
  };
  co_return co_await on_executor<http::Response>(parts_.loop, std::move(tag));
}

http::Response Api::acknowledge_by_form(const std::string& body, const std::string& who) {
  const Form form(body);
  std::istringstream change(form.word("change"));  // class/variant/before/after
  Json asked_for{{"note", form.word("note")}, {"remove", form.word("verb") == "take-back"}};
  for (const char* key : {"device_class", "variant", "before", "after"}) {
    std::string part;
    std::getline(change, part, '/');
    asked_for[key] = part;
  }
  const std::string asked = json_text(asked_for);
  const auto done = acknowledge_change(asked, who);
  if (!done) return http::error_response(done.error());
  parts_.record(who, audited("POST", "/v1/changes/acknowledge", "/regressions/acknowledge", asked, 200, done->body));
  return see_other("/regressions");
}

std::optional<asio::awaitable<http::Response>> Api::take_form(const http::Request& request, const Caller& caller) {
  if (request.method != "POST" || caller.role < Role::fleet_operator) return std::nullopt;
  if (request.path == "/boards/tag") return tag_by_form(request.body, caller.name);
  std::function<http::Response()> change;
  constexpr std::string_view ending = "/steer";
  constexpr std::string_view rollouts = "/rollouts/";
  constexpr std::string_view boards = "/boards/";
  constexpr std::string_view picture = "/picture";
  if (request.path == "/regressions/acknowledge") {
    change = [this, who = caller.name, body = request.body] { return acknowledge_by_form(body, who); };
  } else if (request.path.starts_with(rollouts) && request.path.ends_with(ending)) {
    const std::string name = request.path.substr(rollouts.size(), request.path.size() - rollouts.size() - ending.size());
    change = [this, name, who = caller.name, request] { return steer_by_form(name, who, request); };
  } else if (request.path.starts_with(boards) && request.path.ends_with(picture)) {
    const std::string name = request.path.substr(boards.size(), request.path.size() - boards.size() - picture.size());
    change = [this, name, who = caller.name] { return ask_by_form(name, who); };
  } else {
    return std::nullopt;
  }
  return on_executor<http::Response>(parts_.loop, std::move(change));
}

http::Admission Api::admit_tcp(const http::Request& head) const {
  const auto caller = caller_of(head);
  if (!caller) return {longest_of_strangers, who_are_you(head)};
  return admit(head, caller->role);
}

asio::awaitable<http::Response> Api::handle_tcp(http::Request request) {
  if (!request.secure && !names_this_machine(request)) {
    co_return http::error_response(
        Error(ErrorCode::untrusted, "in plain, only 127.0.0.1, [::1] and localhost are served"), 421);
  }
  if (request.path.starts_with("/assets/") && request.method == "GET") {
    const page::Reader nobody;
    co_return co_await show(request, nobody);
  }
  if (request.path == "/login") {
    if (request.method == "GET") co_return page::Page::login("", 200);
    // A page of somebody else's must not make a browser somebody else here, either.
    if (said_by_a_browser(request) && !from_own_page(request)) co_return asked_by_another_site();
    co_return enter(request);
  }
  const auto caller = caller_of(request);
  if (!caller) {
    if (wants_page(request)) co_return see_other("/login");
    co_return who_are_you(request);
  }
  if (request.method != "GET" && (caller->by_cookie || said_by_a_browser(request)) &&
      !from_own_page(request)) {
    co_return asked_by_another_site();
  }
  if (request.path == "/leave" && request.method == "POST") {
    co_return with_cookie(see_other("/login"), request, "", "0");
  }
  if (request.method == "GET" && page::Page::serves(request.path)) {
    const page::Reader reader{caller->name, caller->role >= Role::fleet_operator, caller->by_cookie};
    co_return co_await show(request, reader);
  }
  if (auto form = take_form(request, *caller)) co_return co_await std::move(*form);
  co_return co_await serve(std::move(request), *caller);
}

}  // namespace outcrop::fleet
