#include <gmock/gmock.h>

#include "agent/doctor/enrolled.hpp"
#include "agent/doctor/finding_matchers.hpp"
#include "agent/verify/metadata_fixture.hpp"
#include "protocol/base/durable_file.hpp"

namespace outcrop::agent {
namespace {

using std::chrono::days;
using ::testing::AllOf;
using ::testing::Field;
using ::testing::HasSubstr;

class MetadataCheckTest : public MetadataTest {
 protected:
  Finding check(Timestamp now) const {
    return check_metadata(read_trusted_state(folder_ / "trusted.json"), now);
  }
};

TEST_F(MetadataCheckTest, has_nothing_to_say_before_the_first_connection) {
  EXPECT_THAT(check(start), Finds(Verdict::unknown, "none yet"));
  EXPECT_FALSE(std::filesystem::exists(folder_));
  const MetadataStore store = open();
  EXPECT_THAT(check(start), Finds(Verdict::unknown, "none yet"));
}

TEST_F(MetadataCheckTest, says_version_age_and_what_expires_first) {
  MetadataStore store = open();
  accept_all(store, documents());
  EXPECT_THAT(check(start + days(3)),
              Finds(Verdict::ok, "snapshot 1, root 1, 3 days old, good until 2027-01-22"));
  EXPECT_THAT(check(start + days(8)),
              AllOf(Finds(Verdict::fail, HasSubstr("timestamp expired on 2027-01-22")),
                    Field(&Finding::advice, HasSubstr("until the host is heard"))));
  // A clock that stands still does not make them fresh: they say themselves when they were signed.
  EXPECT_THAT(check(start - days(1000)), Finds(Verdict::ok, HasSubstr("0 minutes old")));
}

TEST_F(MetadataCheckTest, warns_a_month_before_somebody_must_sign) {
  targets_.expires = start + days(29);
  MetadataStore store = open();
  accept_all(store, documents());
  EXPECT_THAT(check(start), AllOf(Finds(Verdict::warn, HasSubstr("targets expires on")),
                                  Field(&Finding::advice, HasSubstr("outcrop keys renew"))));
}

TEST_F(MetadataCheckTest, knows_a_host_whose_clock_was_ahead) {
  synchronised_ = false;
  MetadataStore store = open();
  clock_.time = start + days(60);
  accept_all(store, documents());
  clock_.time = start;
  ++timestamp_.version;
  accept_all(store, documents());
  EXPECT_THAT(check(start), AllOf(Finds(Verdict::fail, HasSubstr("a clock that was ahead")),
                                  Field(&Finding::advice, HasSubstr("keys rotate snapshot"))));
}

TEST_F(MetadataCheckTest, tells_damage_from_absence) {
  MetadataStore store = open();
  accept_all(store, documents());
  EXPECT_THAT(write_file_durably(folder_ / "trusted.json", std::string_view("\x01\x02")), IsOk());
  EXPECT_THAT(check(start), Finds(Verdict::ok, HasSubstr("snapshot 1"))) << "by its spare";
  EXPECT_THAT(write_file_durably(folder_ / "trusted.json.spare", std::string_view("\x01\x02")),
              IsOk());
  EXPECT_THAT(check(start), Finds(Verdict::fail, HasSubstr("trusted.json")));
}

}  // namespace
}  // namespace outcrop::agent
