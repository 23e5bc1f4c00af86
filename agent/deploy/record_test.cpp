#include "agent/deploy/record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

using ::testing::HasSubstr;

Record full_record() {
  Record record;
  record.generation = 7;
  record.held = true;
  record.held_by = "uid 1000";
  Deployment deployment;
  deployment.offer.rollout = "stage-2";
  deployment.offer.generation = 7;
  deployment.offer.model = "curvefault";
  deployment.offer.device_class = "raspberry-pi-4";
  deployment.offer.manifest = trust::sha256("manifest");
  deployment.offer.manifest_size = ByteCount(4000);
  deployment.state = messages::DeploymentState::soaking;
  deployment.reason = "int8-qint8 is the best";
  deployment.variant = "int8-qint8";
  deployment.before = Installed{trust::sha256("before"), ByteCount(3900), "float"};
  deployment.crashes = {{"PROVING", 2}};
  messages::ReportedVariant variant;
  variant.name = "int8-qint8";
  variant.outcome = messages::VariantOutcome::measured;
  variant.measurement.emplace();
  variant.measurement->calls = 100;
  variant.measurement->p90_ms = 12.5;
  deployment.variants = {variant};
  record.deployment = deployment;
  return record;
}

class Records : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "deployment.json";
};

TEST_F(Records, come_back_as_they_were_written) {
  const Record record = full_record();
  ASSERT_THAT(write_record(file_, record), IsOk());
  const ReadRecord read = read_record(file_);
  ASSERT_THAT(read.status, IsOk());
  EXPECT_EQ(to_json(read.record), to_json(record));
  EXPECT_EQ(read.record.deployment->target().variant, "int8-qint8");
  EXPECT_EQ(read.record.deployment->before, record.deployment->before);
  EXPECT_EQ(read.record.deployment->variants, record.deployment->variants);
}

TEST_F(Records, keep_a_cancel) {
  Record record = full_record();
  record.deployment->cancel = messages::Cancel{"stage-2", 7, record.deployment->offer.manifest,
                                               trust::sha256("before"), "too slow"};
  ASSERT_THAT(write_record(file_, record), IsOk());
  EXPECT_EQ(read_record(file_).record.deployment->cancel, record.deployment->cancel);
}

TEST_F(Records, are_empty_where_there_is_no_file) {
  const ReadRecord read = read_record(file_);
  EXPECT_THAT(read.status, IsOk());
  EXPECT_EQ(read.record.generation, 0U);
  EXPECT_FALSE(read.record.deployment);
}

TEST_F(Records, of_a_newer_agent_keep_old_offers_old) {
  ASSERT_THAT(write_file_durably(file_, std::string_view(R"({"version": 2, "generation": 41})")),
              IsOk());
  const ReadRecord read = read_record(file_);
  EXPECT_THAT(read.status, ErrorIs(ErrorCode::unsupported, HasSubstr("newer agent")));
  EXPECT_EQ(read.record.generation, 41U);
}

TEST_F(Records, that_are_damaged_are_refused_wherever_they_are_cut) {
  const std::string text = to_json(full_record());
  for (std::size_t length = 1; length + 1 < text.size(); length += 37) {
    EXPECT_FALSE(parse_record(std::string_view(text).substr(0, length)));
  }
  std::string unknown = text;
  unknown.replace(unknown.find("\"held\""), 6, "\"holds\"");
  EXPECT_THAT(parse_record(unknown), ErrorIs(ErrorCode::invalid_data, HasSubstr("record.")));
}

}  // namespace
}  // namespace outcrop::agent
