#include "bench/instruction_counter.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::bench {
namespace {

using ::testing::HasSubstr;

void write_page(const std::filesystem::path& path, const InstructionPage& page) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&page), sizeof page);
}

TEST(InstructionCounter, reads_what_the_plugin_writes) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "page";
  write_page(path, {InstructionPage::expected_mark, 17});
  const auto counter = InstructionCounter::open(path);
  ASSERT_THAT(counter, IsOk());
  EXPECT_EQ(counter->executed(), 17U);
  write_page(path, {InstructionPage::expected_mark, 4711});
  EXPECT_EQ(counter->executed(), 4711U);
}

TEST(InstructionCounter, refuses_a_page_that_no_plugin_writes) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "page";
  EXPECT_THAT(InstructionCounter::open(path), ErrorIs(ErrorCode::not_found, HasSubstr("page")));
  std::ofstream(path).close();
  EXPECT_THAT(InstructionCounter::open(path),
              ErrorIs(ErrorCode::unsupported, HasSubstr("-plugin")));
  write_page(path, {0, 17});
  EXPECT_THAT(InstructionCounter::open(path),
              ErrorIs(ErrorCode::unsupported, HasSubstr("-plugin")));
}

}  // namespace
}  // namespace outcrop::bench
