#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"

// What boards drew, beside the host's own.

namespace outcrop::fleet {
namespace asio = boost::asio;
namespace {

constexpr ByteCount picture_body_limit = ByteCount::kib(4);
constexpr std::size_t usual_most_drawing = 16;

Json grid_to_json(const messages::Picture& picture, const HostsOwn* own) {
  const messages::Picture::Drawn& drawn = *picture.drawn;
  const messages::Grid grid = *messages::grid_of(drawn.shape);
  return {{"manifest", picture.manifest.hex()},
          {"variant", picture.variant},
          {"time", to_rfc3339(picture.header.time)},
          {"output", drawn.output},
          {"unit", own == nullptr ? Json(nullptr) : Json(own->unit)},
          {"shape", drawn.shape},
          {"rows", grid.rows},
          {"columns", grid.columns},
          {"each_row", grid.row_step},
          {"each_column", grid.column_step},
          {"min", drawn.min},
          {"max", drawn.max}};
}

Json comparison_to_json(const ShownPicture& shown) {
  if (!shown.comparison) return nullptr;
  const Comparison& found = *shown.comparison;
  return {{"verdict", to_string(found.verdict)},
          {"largest", found.largest},
          {"rms", found.rms},
          {"mean", found.mean},
          {"step", shown.own->step()},
          {"allowed", number_or_null(found.allowed)},
          {"of_another_class", found.of_another_class},
          {"points", found.points},
          {"min", shown.own->min},
          {"max", shown.own->max}};
}

http::Response never_asked(const std::string& device) {
  return http::error_response(Error(ErrorCode::not_found, "'" + device + "' was not asked for a picture"));
}

}  // namespace

Result<http::Response> Api::ask_pictures(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, picture_body_limit, "pictures"));
  messages::ObjectReader reader(json, "pictures");
  const auto given = [&](const char* key) { return json.contains(key) && !reader.null(key); };
  monitor::MeasureRequest request;
  std::size_t most = usual_most_drawing;
  if (given("device")) request.device = reader.name("device");
  if (given("device_class")) request.device_class = reader.name("device_class");
  if (given("manifest")) request.manifest = reader.digest("manifest");
  if (given("most")) most = reader.integer("most", 1, monitor::Asker::most_drawing);
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(answer, parts_.draw(request, most));
  return respond({{"asked", answer.asked}, {"left_out", answer.left_out}});
}

asio::awaitable<http::Response> Api::picture(std::string device) {
  const auto shown = co_await pictures_.of(device);
  if (!shown) co_return http::error_response(shown.error());
  if (!*shown) co_return never_asked(device);
  const ShownPicture& one = **shown;
  co_return respond({{"device", device},
                     {"asked", to_rfc3339(one.kept.asked)},
                     {"waits", one.kept.waits},
                     {"received", time_or_null(one.kept.received)},
                     {"why", one.kept.picture ? one.kept.picture->why : ""},
                     {"picture", one.drawn() == nullptr ? Json(nullptr) : grid_to_json(*one.kept.picture, one.own.get())},
                     {"comparison", comparison_to_json(one)},
                     {"words", one.words()}});
}

asio::awaitable<http::Response> Api::picture_file(http::Request request, std::string device) {
  const auto of = request.query.find("of");
  const auto view = picture_view_from(of == request.query.end() ? "board" : of->second);
  if (!view) co_return http::error_response(view.error());
  const auto shown = co_await pictures_.of(device);
  if (!shown) co_return http::error_response(shown.error());
  if (!*shown) co_return never_asked(device);
  auto file = png_of(**shown, *view);
  if (!file) co_return http::error_response(file.error());
  co_return http::Response{200, "image/png", std::move(*file), {{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-cache"}}};
}

// What a board's page asks for, with what became of it.
http::Response Api::ask_by_form(const std::string& device, const std::string& who) {
  const std::string asked = json_text(Json{{"device", device}});
  const auto answer = ask_pictures(asked);
  if (!answer) return http::error_response(answer.error());
  parts_.record(who, audited("POST", "/v1/pictures", "/boards/" + device + "/picture", asked, 200, answer->body));
  const auto left_out = Json::parse(answer->body).at("left_out");
  if (!left_out.contains(device)) return see_other("/boards/" + device);
  return http::error_response(Error(ErrorCode::refused, "'" + device + "' was not asked: " + left_out.at(device).get<std::string>()));
}

}  // namespace outcrop::fleet
