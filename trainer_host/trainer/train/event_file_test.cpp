#include "trainer_host/trainer/train/event_file.hpp"

#include <gmock/gmock.h>

#include <filesystem>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

History two_epochs() {
  History history;
  history.columns = {"cross_entropy_loss", "held_out_cross_entropy_loss", "held_out_accuracy"};
  history.rows = {{.epoch = 1, .stage = 1, .learning_rate = 0.002, .values = {0.75, std::nullopt, 0.5}, .seconds = 4},
                  {.epoch = 300, .stage = 2, .learning_rate = 0.0002, .values = {0.5, 0.625, 0.75}, .seconds = 2}};
  return history;
}

TEST(EventFile, sums_are_those_of_rfc_3720_masked) {
  // RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 0x8a9136aa.
  constexpr std::uint32_t sum = 0x8a9136aa;
  EXPECT_EQ(masked_crc32c(std::string(32, '\0')), (sum >> 15 | sum << 17) + 0xa282ead8);
}

TEST(EventFile, grows_at_its_end_and_keeps_when_the_run_began) {
  const TemporaryFolder folder;
  History history = two_epochs();
  const EpochRecord last = history.rows.back();
  history.rows.pop_back();
  ASSERT_THAT(write_event_file(folder.path(), history), IsOk());
  const auto first = read_text_file(folder.path() / event_file_name);
  ASSERT_THAT(first, IsOk());
  history.rows.push_back(last);
  ASSERT_THAT(write_event_file(folder.path(), history), IsOk());
  const auto grown = read_text_file(folder.path() / event_file_name);
  ASSERT_THAT(grown, IsOk());
  EXPECT_GT(grown->size(), first->size());
  EXPECT_EQ(grown->substr(0, first->size()), *first);
  // What means nothing is replaced.
  ASSERT_THAT(write_file_durably(folder.path() / event_file_name, std::string_view("no events")), IsOk());
  ASSERT_THAT(write_event_file(folder.path(), history), IsOk());
  EXPECT_EQ(read_text_file(folder.path() / event_file_name)->size(), grown->size());
}

// Skipped where TensorBoard is not there: script/tensorboard-tools brings it.
TEST(EventFile, is_read_by_tensorboards_own_reader) {
  const std::string python = OUTCROP_SOURCE "/build/tensorboard-tools/bin/python";
  if (!std::filesystem::exists(python)) GTEST_SKIP() << "no TensorBoard here: script/tensorboard-tools";
  const TemporaryFolder folder;
  const std::string file = (folder.path() / event_file_name).string();
  const std::string read = python + " " OUTCROP_SOURCE "/tests/tensorboard/read_events.py " + file;
  ASSERT_THAT(write_file_durably(file, std::string_view(events_of(two_epochs(), 1000.5))), IsOk());
  EXPECT_EQ(run_shell(read).output,
            "version brain.Event:2 at 1000.5\n"
            "1 1004.5 scalars loss/cross_entropy 0.75\n"
            "1 1004.5 scalars score/held_out_accuracy 0.5\n"
            "1 1004.5 scalars training/learning_rate 0.002\n"
            "1 1004.5 scalars training/seconds 4\n"
            "1 1004.5 scalars training/stage 1\n"
            "300 1006.5 scalars loss/cross_entropy 0.5\n"
            "300 1006.5 scalars loss/held_out_cross_entropy 0.625\n"
            "300 1006.5 scalars score/held_out_accuracy 0.75\n"
            "300 1006.5 scalars training/learning_rate 0.0002\n"
            "300 1006.5 scalars training/seconds 2\n"
            "300 1006.5 scalars training/stage 2\n");
  // It checks what it reads: a file with one wrong bit in a value is not read to its end.
  std::string wrong = events_of(two_epochs(), 1000.5);
  wrong[wrong.size() - 5] = static_cast<char>(wrong[wrong.size() - 5] ^ 1);
  ASSERT_THAT(write_file_durably(file, std::string_view(wrong)), IsOk());
  EXPECT_THAT(run_shell(read).output, Not(HasSubstr("300 1006.5")));
}

}  // namespace
}  // namespace outcrop::train
