"""NeedleReach: bring a surgical instrument's tip to a point above a needle; the environment, its simulation,
its picture, its expert."""
