#include "trainer_host/fleet/ingest/knocking.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SetClock final : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override { return time; }
  Timestamp time{std::chrono::seconds(1'800'000'000)};
};

class KnockingTest : public ::testing::Test {
 protected:
  void board(const std::string& name, bool revoked) {
    Device device;
    device.name = name;
    device.model = "curvefault";
    device.device_class = "raspberry-pi-4";
    device.key = trust::PrivateKey::generate()->public_key();
    if (revoked) device.revoked = clock_.now() - std::chrono::hours(1);
    ASSERT_THAT(registry_->save(device), IsOk());
  }

  TemporaryFolder folder_;
  SetClock clock_;
  std::unique_ptr<Registry> registry_ = std::move(*open_sqlite_registry(folder_.path() / "registry.sqlite"));
  std::vector<std::string> recorded_;
  Knocking knocking_{*registry_, clock_, [this](const std::string& who, const std::string& detail) { recorded_.push_back(who + " " + detail); }};
};

TEST_F(KnockingTest, names_a_revoked_board_by_its_address_where_it_is_alone_there) {
  board("pi-1", true);
  board("pi-2", false);
  knocking_.by_address("10.0.0.5", 3, {"pi-1"});
  EXPECT_THAT(knocking_.words(), ElementsAre(AllOf(HasSubstr("'pi-1', which is revoked, knocks (by its address 10.0.0.5): 3 times since"))));
  EXPECT_THAT(recorded_, ElementsAre(AllOf(HasSubstr("'pi-1'"), HasSubstr("\"times\":3"))));
  knocking_.by_address("10.0.0.6", 1, {"pi-1", "pi-2"});
  knocking_.by_address("10.0.0.7", 1, {});
  EXPECT_THAT(knocking_.words(), ::testing::IsSupersetOf({HasSubstr("a certificate that is not let in, from 10.0.0.6, knocks: 1 time since"),
                                                         HasSubstr("from 10.0.0.7")}));
}

TEST_F(KnockingTest, is_told_for_an_hour_and_kept_once_a_day) {
  board("pi-1", true);
  clock_.time -= std::chrono::minutes(59);
  knocking_.by_name("pi-1");
  EXPECT_THAT(knocking_.words(), IsEmpty()) << "its last words";
  clock_.time += std::chrono::minutes(59);
  for (int i = 0; i < 9; ++i) knocking_.by_name("pi-1");
  EXPECT_THAT(knocking_.words(), ElementsAre(AllOf(HasSubstr("'pi-1', which is revoked, knocks: 9 times"))));
  EXPECT_THAT(recorded_, SizeIs(1));
  clock_.time += std::chrono::hours(2);
  EXPECT_THAT(knocking_.words(), IsEmpty());
  clock_.time += std::chrono::hours(23);
  knocking_.by_name("pi-1");
  EXPECT_THAT(recorded_, SizeIs(2));
}

TEST_F(KnockingTest, of_many_addresses_takes_no_more_than_its_share) {
  for (int i = 0; i < 2'000; ++i) knocking_.by_address("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256), 1, {});
  EXPECT_THAT(knocking_.words(), AllOf(SizeIs(9), ::testing::Contains(HasSubstr("248 others knock"))));
  EXPECT_THAT(recorded_, SizeIs(256));
}

}  // namespace
}  // namespace outcrop::fleet
