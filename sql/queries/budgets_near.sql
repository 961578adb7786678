-- One row is a limit of which, in the current :day, :week or :month, at least the share :least is used, as the process that
-- records last said when a threshold was crossed: its budget, its period, and the largest such threshold.
select name, period, max(threshold) as used_share
from budget_alert
join budget using (name, period)
where period_label in (:day, :week, :month) and threshold >= ifnull(:least, 0)
group by name, period
order by used_share desc, name
limit 2
