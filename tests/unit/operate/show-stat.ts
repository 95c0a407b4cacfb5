/** What HAProxy 3.0 of a stack `dev` answered to `show stat`, its first 40 fields. */
export const showStat = `# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx
web,FRONTEND,,,0,6,3600,1020,261992,3360261,0,0,0,,,,,OPEN,,,,,,,,,1,5,0,,,,0,0,0,114,,,,0
storefront,storefront-1,0,0,0,4,200,605,39975,1418550,,0,,0,0,0,0,UP,1,1,0,4,2,271,12,,1,6,1,,605,,2,0,,64,* L7OK,0,4,0
storefront,storefront-2,0,0,0,3,200,605,39711,1455989,,0,,0,0,0,0,UP,1,1,0,0,0,385,0,,1,6,2,,605,,2,0,,64,* L7OK,0,95,0
storefront,BACKEND,0,0,0,4,1,1210,79686,2874539,0,0,,0,0,0,0,UP,2,2,0,,0,385,0,,1,6,0,,1210,,1,0,,128,,,,0
storefront_writes,storefront-1,0,0,0,2,200,211,93058,243491,,0,,0,0,0,0,UP,1,1,0,,,271,,,1,7,1,,211,storefront/storefront-1,2,0,,25,,,,0
storefront_writes,storefront-2,0,0,0,2,200,211,89248,242231,,0,,0,0,0,0,UP,1,1,0,,,385,,,1,7,2,,211,storefront/storefront-2,2,0,,26,,,,0
storefront_writes,BACKEND,0,0,0,2,1,422,182306,485722,0,0,,0,0,0,0,UP,2,2,0,,0,385,0,,1,7,0,,422,,1,0,,51,,,,0
primary,FRONTEND,,,4,7,4000,28,1249952,895957,0,0,0,,,,,OPEN,,,,,,,,,1,12,0,,,,0,0,0,6,,,,
primary,db-1,0,0,4,7,100,28,1249952,895957,,0,,0,17,0,0,UP,1,1,0,2,1,368,17,,1,14,1,,28,,2,0,,6,L7OK,200,9,
primary,db-2,0,0,0,0,100,0,0,0,,0,,0,0,0,0,DOWN,1,1,0,1,2,366,368,,1,14,2,,0,,2,0,,0,L7STS,503,108,
primary,BACKEND,0,0,4,7,800,28,1249952,895957,0,0,,0,17,0,0,UP,1,1,0,,1,368,1,,1,14,0,,28,,1,0,,6,,,,
standby,db-1,0,0,0,0,100,0,0,0,,0,,0,0,0,0,DOWN,1,1,0,2,1,367,367,,1,15,1,,0,,2,0,,0,L7STS,503,108,
standby,db-2,0,0,8,10,100,54,906585,1250869,,0,,0,37,0,0,UP,1,1,0,3,2,350,28,,1,15,2,,54,,2,0,,6,* L7OK,0,44,
standby,BACKEND,0,0,8,10,400,54,906585,1250869,0,0,,0,37,0,0,UP,1,1,0,,2,345,17,,1,15,0,,54,,1,0,,6,,,,`;
