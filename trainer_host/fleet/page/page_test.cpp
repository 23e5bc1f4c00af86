#include "trainer_host/fleet/page/page.hpp"

#include <gmock/gmock.h>

#include "protocol/base/csv.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/page/assets.hpp"
#include "trainer_host/fleet/page/csv.hpp"
#include "trainer_host/fleet/page/screens.hpp"
#include "trainer_host/fleet/page/words.hpp"
#include "trainer_host/fleet/view/seeded_fleet_for_tests.hpp"

namespace outcrop::fleet::page {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Html, escapes_whatever_is_not_written_in_this_program) {
  Html html;
  html << "<b title=\"" << std::string("\"><script>alert('x')</script>&") << "\">";
  EXPECT_EQ(html.text(),
            "<b title=\"&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;\">");
  EXPECT_EQ(in_url("a b/ü?"), "a%20b%2F%C3%BC%3F");
}

TEST(Words, say_figures_with_their_sign_and_size) {
  EXPECT_EQ(milliseconds(38.249), "38.2 ms");
  EXPECT_EQ(milliseconds(4.5), "4.50 ms");
  EXPECT_EQ(change(.0512), "+5.1 %");
  EXPECT_EQ(change(-.25), "−25.0 %");
  EXPECT_EQ(boards(1), "1 board");
  PairedChange p90;
  EXPECT_EQ(interval(p90), "too few boards");
  p90.low = .039;
  p90.high = .062;
  EXPECT_EQ(interval(p90), "[+3.9, +6.2] %");
}

TEST(Assets, are_kept_for_ever_by_their_digest_and_fit_into_sixty_kilobytes) {
  EXPECT_LE(packed_size(), 60'000U);
  const http::Response script = asset(asset_url("page.js"), "gzip, br");
  EXPECT_EQ(script.status, 200);
  EXPECT_THAT(script.headers, ::testing::Contains(std::pair<std::string, std::string>(
                                  "Cache-Control", "public, max-age=31536000, immutable")));
  EXPECT_TRUE(script.body.starts_with("\x1f\x8b"));
  EXPECT_THAT(asset(asset_url("page.js"), "").body, HasSubstr("EventSource"));
  EXPECT_EQ(asset("/assets/000000000000/page.js", "").status, 404);
  EXPECT_EQ(asset(asset_url("../page.cpp"), "").status, 404);
}

TEST(Assets, of_others_are_as_they_were_published) {
  const ShellOutcome outcome = run_shell(OUTCROP_SOURCE "/script/vendor-page --check 2>&1");
  EXPECT_EQ(outcome.code, 0) << outcome.output;
}

class ScreenTest : public ::testing::Test {
 protected:
  void SetUp() override { fleet_.add("pi-1", "raspberry-pi-4", .08); }
  TemporaryFolder folder_;
  SeededFleet fleet_{folder_.path() / "registry.sqlite"};
  FleetView view_{fleet_.registry(), fleet_.surroundings()};
  const AcknowledgedOf nobody_ = [](const Change&) { return std::nullopt; };
  const Lately lately_ = [](const std::string&) { return std::vector<double>(); };
};

TEST_F(ScreenTest, what_persons_and_boards_wrote_is_no_markup) {
  fleet_.roll_out("second", 2, RolloutState::stopped, "<img src=x onerror=alert(1)>", {"pi-1"},
                  messages::DeploymentState::failed);
  ASSERT_THAT(view_.refresh(), IsOk());
  const std::string page =
      rollout_screen(view_, view_.rollouts().front(), nobody_, {}, fleet_.now).text() +
      fleet_screen(view_, {"<script>"}, nobody_, fleet_.now).text();
  EXPECT_THAT(page, HasSubstr("&lt;img src=x"));
  EXPECT_THAT(page, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(page, Not(HasSubstr("<script>")));
}

TEST_F(ScreenTest, steering_is_offered_to_who_may_and_while_there_is_something_to_steer) {
  fleet_.roll_out("second", 2, RolloutState::widening, "", {"pi-1"},
                  messages::DeploymentState::updated);
  ASSERT_THAT(view_.refresh(), IsOk());
  const RolloutRow& row = view_.rollouts().front();
  EXPECT_THAT(rollout_screen(view_, row, nobody_, {"o", true}, fleet_.now).text(), HasSubstr("Roll back"));
  EXPECT_THAT(rollout_screen(view_, row, nobody_, {"v", false}, fleet_.now).text(), Not(HasSubstr("Roll back")));
}

TEST_F(ScreenTest, tags_are_given_by_who_may_and_a_line_shows_how_a_board_served_lately) {
  ASSERT_THAT(view_.refresh(), IsOk());
  const auto query = BoardQuery::read({{"class", "raspberry-pi-4"}});
  const auto shown = [&](const Reader& reader, const Lately& lately) {
    return boards_screen(view_, *query, *select(view_, *query), lately, reader, fleet_.now).text();
  };
  EXPECT_THAT(shown({"v", false}, lately_), AllOf(Not(HasSubstr("checkbox")), Not(HasSubstr("/boards/tag")), Not(HasSubstr("polyline"))));
  const std::string page = shown({"o", true}, [](const std::string& board) {
    return board == "pi-1" ? std::vector<double>{40, 41, 39.5} : std::vector<double>();
  });
  EXPECT_THAT(page, HasSubstr("name=\"b.pi-1\""));
  EXPECT_THAT(page, HasSubstr("value=\"class=raspberry-pi-4\""));
  EXPECT_THAT(page, HasSubstr("<title>p90 of calls served in its last 3 samples: from 39.5 ms to 41.0 ms, now 39.5 ms</title>"));
}

TEST_F(ScreenTest, a_change_that_is_acknowledged_is_no_news_any_more) {
  for (int i = 2; i <= 12; ++i) fleet_.add("pi-" + std::to_string(i), "raspberry-pi-4", .08);
  ASSERT_THAT(view_.refresh(), IsOk());
  const AcknowledgedOf known = acknowledged_in(fleet_.registry());
  EXPECT_THAT(fleet_screen(view_, {}, known, fleet_.now).text(), HasSubstr("<h2>Worse</h2>"));
  const Reader viewer{"v", false}, may{"o", true};
  const auto regressions = [&](const Reader& reader) { return regressions_screen(view_, nullptr, nullptr, known, reader, fleet_.now).text(); };
  EXPECT_THAT(regressions(may), HasSubstr("/regressions/acknowledge"));
  EXPECT_THAT(regressions(viewer), Not(HasSubstr("/regressions/acknowledge")));
  for (const Change& change : newest_changes(view_)) {
    ASSERT_THAT(acknowledge(fleet_.registry(), name_of(change), {"token ops", fleet_.now, "the <new> kernel"}), IsOk());
  }
  const std::string page = fleet_screen(view_, {}, known, fleet_.now).text();
  EXPECT_THAT(page, HasSubstr("<h2>Nothing else is worse</h2>"));
  EXPECT_THAT(page, HasSubstr("2 changes for the worse are acknowledged</a>"));
  EXPECT_THAT(regressions(viewer), HasSubstr("by token ops"));
  EXPECT_THAT(regressions(viewer), HasSubstr("the &lt;new&gt; kernel"));
  ASSERT_THAT(take_back_acknowledgement(fleet_.registry(), name_of(newest_changes(view_).front())), IsOk());
  EXPECT_THAT(fleet_screen(view_, {}, known, fleet_.now).text(), HasSubstr("<h2>Worse</h2>"));
}

TEST_F(ScreenTest, lists_are_there_for_spreadsheets_and_no_word_of_a_board_is_a_formula) {
  fleet_.roll_out("second", 2, RolloutState::stopped, "=1+1, \"x\"", {"pi-1"}, messages::DeploymentState::failed);
  fleet_.add("pi-2", "raspberry-pi-5", 0);
  ASSERT_EQ(fleet_.registry().save_tags("pi-2", {"lab", "roof"}), true);
  ASSERT_THAT(view_.refresh(), IsOk());
  const http::Response boards = boards_csv(view_, select_all(view_, *BoardQuery::read({{"limit", "1"}})));
  EXPECT_EQ(std::count(boards.body.begin(), boards.body.end(), '\n'), 3) << boards.body;
  EXPECT_THAT(boards.body, HasSubstr("\r\npi-2,raspberry-pi-5,curvefault,lab roof,well,,2"));
  EXPECT_EQ(csv_cell("=1+1, \"x\""), "\"'=1+1, \"\"x\"\"\"");
  const http::Response changes = changes_csv(newest_changes(view_), nobody_);
  EXPECT_THAT(changes.body, HasSubstr("\r\ncurvefault,raspberry-pi-4,"));
}

TEST_F(ScreenTest, boards_show_their_tags_and_are_found_by_them) {
  const auto boards_by = [&](const std::map<std::string, std::string>& words) {
    EXPECT_THAT(view_.refresh(), IsOk());
    const auto query = BoardQuery::read(words);
    return boards_screen(view_, *query, *select(view_, *query), lately_, {}, fleet_.now).text();
  };
  EXPECT_THAT(boards_by({}), Not(HasSubstr("name=\"tag\""))) << "nothing to choose from";
  fleet_.add("pi-2", "raspberry-pi-5", 0);
  ASSERT_EQ(fleet_.registry().save_tags("pi-1", {"lab", "roof"}), true);
  EXPECT_THAT(boards_by({{"class", "raspberry-pi-4"}}), HasSubstr("<a href=\"/boards?class=raspberry-pi-4&amp;tag=lab\">lab</a>, <a"));
  const std::string page = boards_by({{"tag", "roof"}});
  EXPECT_THAT(page, HasSubstr("<option selected>roof</option>"));
  EXPECT_THAT(page, Not(HasSubstr("/boards/pi-2")));
  EXPECT_THAT(boards_by({{"tag", "gone"}}), HasSubstr("<option selected>gone</option>")) << "what is asked for is shown";
}

TEST_F(ScreenTest, what_a_board_drew_stands_beside_the_hosts_own_and_is_told_in_words) {
  ASSERT_THAT(view_.refresh(), IsOk());
  const BoardRow& row = view_.boards().at("pi-1");
  const Reader viewer{"v", false}, may{"o", true};
  const auto part = [&](const std::optional<ShownPicture>& picture, const Reader& reader) {
    return picture_part(view_, row, picture, reader, fleet_.now).text();
  };
  EXPECT_THAT(part(std::nullopt, viewer), AllOf(HasSubstr("It was not asked for a picture"), Not(HasSubstr("<form"))));
  EXPECT_THAT(part(std::nullopt, may), HasSubstr("action=\"/boards/pi-1/picture\""));
  ShownPicture shown{{"pi-1", fleet_.now, true, std::nullopt, std::nullopt}, nullptr, "", std::nullopt};
  EXPECT_THAT(part(shown, viewer), HasSubstr("it draws when no update is at work and nobody uses it"));
  messages::Picture& picture = shown.kept.picture.emplace();
  shown.kept.waits = false;
  shown.kept.received = fleet_.now;
  picture.header = {"pi-1", 7, 9, fleet_.now, true};
  picture.manifest = fleet_.after();
  picture.variant = "int8-qint8";
  picture.drawn = messages::Picture::Drawn{"<velocity>", {1, 300, 2}, 1500, 4500, std::string(200, 'a')};
  shown.own_missing = "its blobs are gone";
  EXPECT_THAT(part(shown, viewer), AllOf(HasSubstr("nothing to hold it against: its blobs are gone"), HasSubstr("&lt;velocity&gt;"),
                                         HasSubstr("1500 to 4500, 1 row of 3"), Not(HasSubstr("of=host"))));
  HostsOwn own{"<velocity>", "m/s", false, {{1, 300, 2}, *messages::grid_of({1, 300, 2}), std::vector<double>(200, 1000)}, 1000, 2000, {}};
  own.allowed = {{"int8-qint8", {"<velocity>", 5, 50}}};
  shown.own = std::make_shared<HostsOwn>(own);
  shown.comparison = *compare(picture, own);
  const std::string page = part(shown, viewer);
  EXPECT_THAT(page, HasSubstr("beyond what is allowed</span> It is not what was signed. Off the host"));
  EXPECT_THAT(page, HasSubstr("white is 1641 m/s more, black as much less"));
  EXPECT_THAT(page, HasSubstr("/v1/devices/pi-1/picture.png?of=difference&amp;drawn=7-9\" width=\"4\" height=\"200\" alt="));
  EXPECT_THAT(page, Not(HasSubstr("Another release serves")));
  EXPECT_THAT(pictures_strip({shown}, fleet_.now).text(), AllOf(HasSubstr("of=host"), HasSubstr("/boards/pi-1")));
  picture.manifest = fleet_.before();
  EXPECT_THAT(part(shown, viewer), HasSubstr("Another release serves by now"));
  BoardRow old = row;
  old.device.status->speaks = 5;
  EXPECT_THAT(picture_part(view_, old, std::nullopt, may, fleet_.now).text(), AllOf(HasSubstr("too old to draw"), Not(HasSubstr("<form"))));
}

TEST_F(ScreenTest, a_few_boards_are_not_taken_for_evidence) {
  ASSERT_THAT(view_.refresh(), IsOk());
  const std::string page = fleet_screen(view_, {}, nobody_, fleet_.now).text();
  EXPECT_THAT(page, HasSubstr("Too few boards to be sure"));
  EXPECT_THAT(page, HasSubstr("slower on 1 of 1 board, too few to be sure"));
}

TEST_F(ScreenTest, releases_that_are_none_cannot_be_compared) {
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_THAT(compared_pair(view_, {{"a", "x"}, {"b", "y"}}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("")));
  const std::string none = trust::sha256("none").hex();
  EXPECT_THAT(compared_pair(view_, {{"a", none}, {"b", none}}),
              ErrorIs(ErrorCode::not_found, HasSubstr("no release here")));
}

}  // namespace
}  // namespace outcrop::fleet::page
