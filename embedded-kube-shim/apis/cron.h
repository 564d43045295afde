#pragma once
#include <string>
#include <string_view>

// Cron schedules as CronJobs write them: five fields, names of months and days, @every and the like.
namespace skerry::kube::cron {

// Empty when the schedule is one; else what is wrong, in the words API clients know.
std::string CheckSchedule(std::string_view schedule);
// Known to the system's time zone data base.
bool IsTimeZone(std::string_view name);

}  // namespace skerry::kube::cron
